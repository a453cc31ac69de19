// The log and the metrics of a Worker.

/** Writes an object to the Worker's log, whose members Workers Logs indexes. */
export function logObject(json, isError) {
  const line = JSON.parse(json)
  if (isError) console.error(line)
  else console.warn(line)
}

/** Returns the Analytics Engine dataset that is bound under this name, or undefined. */
export function datasetOf(env, name) {
  const binding = env[name]
  return typeof binding?.writeDataPoint === 'function' ? binding : undefined
}

/** Writes a data point, as JSON. */
export function writeDataPoint(dataset, json) {
  dataset.writeDataPoint(JSON.parse(json))
}
