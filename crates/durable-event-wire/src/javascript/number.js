// Conversion between floats and their texts. JavaScript converts them as its clients do, and WebAssembly then needs no
// tables.

export const read = Number

export const text = String

/** Returns the shortest text that distinguishes a 32-bit float from all others: 0.1 instead of 0.10000000149011612. */
export function textOfSingle(number) {
  // Nine digits distinguish any two 32-bit floats (IEEE 754).
  for (let digits = 1; digits < 9; digits++) {
    const shorter = Number(number.toPrecision(digits))
    if (Math.fround(shorter) === number) return String(shorter)
  }
  return String(Number(number.toPrecision(9)))
}
