/** Returns the time in milliseconds since an arbitrary start. Unlike the time of day, it never decreases. */
export function monotonicNow(): number {
  return (globalThis as { performance?: Pick<Performance, 'now'> }).performance?.now() ?? Date.now()
}
