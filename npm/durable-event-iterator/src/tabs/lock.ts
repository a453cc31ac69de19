/** The lock of a name, which only one tab holds at a time. The browser releases it when its tab crashes. */
export class Lock {
  /** Called when the lock is granted. */
  onGranted = (): void => {}
  /** Called when another tab has stolen the lock, or, if it was not held, when the browser does not allow locks. */
  onLost = (_wasHeld: boolean): void => {}
  readonly #locks: LockManager
  readonly #name: string
  /** Identifies the current request. */
  #request: AbortController | undefined
  #release: (() => void) | undefined

  constructor(locks: LockManager, name: string) {
    this.#locks = locks
    this.#name = name
  }

  get isHeld(): boolean {
    return this.#release !== undefined
  }

  get isRequested(): boolean {
    return this.#request !== undefined
  }

  /** Waits for the lock. Requests are granted in order. */
  request(): void {
    const request = this.#start()
    this.#run(request, { signal: request.signal })
  }

  /** Takes the lock from the tab that holds it. */
  steal(): void {
    this.#run(this.#start(), { steal: true })
  }

  /** Releases the lock, or stops waiting for it. */
  release(): void {
    this.#request?.abort()
    this.#request = undefined
    this.#release?.()
    this.#release = undefined
  }

  #start(): AbortController {
    this.release()
    return (this.#request = new AbortController())
  }

  #run(request: AbortController, options: LockOptions): void {
    const onGranted = (): Promise<void> | undefined => {
      if (this.#request !== request) return undefined
      const released = new Promise<void>((resolve) => {
        this.#release = resolve
      })
      this.onGranted()
      return released
    }
    this.#locks.request(this.#name, options, onGranted).catch(() => {
      if (this.#request !== request) return
      const wasHeld = this.isHeld
      this.#request = this.#release = undefined
      this.onLost(wasHeld)
    })
  }
}
