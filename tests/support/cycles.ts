// Cycles of imports.

/** Returns the cycles that a depth-first search finds: at least one, if there are any. */
export function cyclesOf(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const cycles: string[][] = []
  const visited = new Set<string>()
  const visit = (module: string, path: readonly string[]): void => {
    const start = path.indexOf(module)
    if (start >= 0) cycles.push([...path.slice(start), module])
    if (visited.has(module)) return
    visited.add(module)
    for (const imported of graph.get(module) ?? []) visit(imported, [...path, module])
  }
  for (const module of graph.keys()) visit(module, [])
  return cycles
}
