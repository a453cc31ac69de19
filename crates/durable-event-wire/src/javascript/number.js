// Between floats and their texts, which JavaScript converts as its clients do: WASM needs no tables for it.

export const read = Number

export const text = String

/** The shortest text that tells a 32-bit float from all others: 0.1, and not 0.10000000149011612. */
export function textOfSingle(number) {
  // Nine digits tell any two of them apart (IEEE 754).
  for (let digits = 1; digits < 9; digits++) {
    const shorter = Number(number.toPrecision(digits))
    if (Math.fround(shorter) === number) return String(shorter)
  }
  return String(Number(number.toPrecision(9)))
}
