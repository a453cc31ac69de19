/** Returns milliseconds that never go back, unlike the time of day, since an unknown moment. */
export function monotonicNow(): number {
  return (globalThis as { performance?: Pick<Performance, 'now'> }).performance?.now() ?? Date.now()
}
