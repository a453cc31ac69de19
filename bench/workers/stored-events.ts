// The event storage of the peers, as in oRPC's implementation: ids by AUTOINCREMENT, an index of times, and deletion of expired
// events with each publish.

export class StoredEvents {
  readonly #sql: SqlStorage
  readonly #retention: number
  rowsRead = 0
  rowsWritten = 0

  constructor(sql: SqlStorage, retentionSeconds: number) {
    this.#sql = sql
    this.#retention = retentionSeconds
    this.#run(`CREATE TABLE IF NOT EXISTS events (
      id INTEGER PRIMARY KEY AUTOINCREMENT, payload TEXT NOT NULL, stored_at INTEGER NOT NULL DEFAULT (unixepoch()))`)
    this.#run('CREATE INDEX IF NOT EXISTS events_by_time ON events (stored_at)')
  }

  store(payload: string): string {
    this.#run('DELETE FROM events WHERE stored_at < unixepoch() - ?', this.#retention)
    return String(this.#run('INSERT INTO events (payload) VALUES (?) RETURNING id', payload)[0]?.id)
  }

  after(id: string): { id: string; payload: string }[] {
    this.#run('DELETE FROM events WHERE stored_at < unixepoch() - ?', this.#retention)
    const rows = this.#run('SELECT id, payload FROM events WHERE id > ? ORDER BY id', Number(id))
    return rows.map(({ id, payload }) => ({ id: String(id), payload: String(payload) }))
  }

  #run(query: string, ...parameters: (string | number)[]): Record<string, SqlStorageValue>[] {
    const cursor = this.#sql.exec(query, ...parameters)
    const rows = cursor.toArray()
    this.rowsRead += cursor.rowsRead
    this.rowsWritten += cursor.rowsWritten
    return rows
  }
}
