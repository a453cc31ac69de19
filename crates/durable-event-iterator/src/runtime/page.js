// The loop over the rows of a page.

/** First character of an event. A marked row begins with another one: `MARKED_ROW` of channel/replay_row.rs. */
const BRACE = 0x7b

/** The events of a page. */
export class Page {
  #events = []
  #size = 0

  /**
   * Adds the rows of one statement: [id, event, audience]. The event is null from the row on at which the statement had no room.
   * Returns the number of rows, the id of the last one, whether there was no room for the others, and the number and size (in
   * characters) of all events of the page. The cursor is read to its end, since an unfinished cursor keeps its table locked.
   */
  add(cursor, admits, makeSafe) {
    let rows = 0
    let last
    let isFull = false
    // Consecutive events often have the same audience, which is then evaluated once.
    let known = null
    let admitted = true
    for (const row of cursor.raw()) {
      if (isFull) continue
      let event = row[1]
      if (event === null && rows > 0) {
        isFull = true
        continue
      }
      rows++
      last = row[0]
      const audience = row[2]
      if (audience !== known) {
        known = audience
        // A row that was edited by hand may hold bytes, which must not reach WASM as text.
        admitted = audience === null || (typeof audience === 'string' && admits(audience))
      }
      // A first row without room has sizes that were edited by hand.
      if (!admitted || event === null) continue
      if (event.charCodeAt(0) !== BRACE && (event = makeSafe(event)) === undefined) continue
      this.#events.push(event)
      this.#size += event.length
    }
    return [rows, last, isFull, this.#events.length, this.#size]
  }

  /** Returns the text of the page. `next` and `gap` are event ids or undefined. */
  finish(isReversed, next, gap, more) {
    if (isReversed) this.#events.reverse()
    const id = (text) => (text === undefined ? 'null' : `"${text}"`)
    return `{"events":[${this.#events.join(',')}],"next":${id(next)},"gap":${id(gap)},"more":${more}}`
  }
}
