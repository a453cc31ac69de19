// Schemas whose issues read like those of the Rust classes, so that the same tests apply.

import type { Schema } from '@orpc/server'

export interface Issue {
  message: string
  path: PropertyKey[]
}

/** Returns the issues of a value. */
export type Check = (value: any) => Issue[]

/** Makes a Standard Schema of a check. */
export function schema<T>(check: Check): Schema<T, T> {
  const validate = (value: unknown): { issues: Issue[] } | { value: T } => {
    const issues = check(value)
    return issues.length > 0 ? { issues } : { value: value as T }
  }
  return { '~standard': { version: 1, vendor: 'tests', validate } }
}

/** Describes the type of a value. */
function kindOf(value: unknown): string {
  if (value === undefined || value === null) return String(value)
  if (Array.isArray(value)) return 'an array'
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}

const issue = (message: string): Issue[] => [{ message, path: [] }]

/** A value of a kind, such as `a number`. */
export function a(kind: string, isValid: (value: any) => boolean): Check {
  return (value) => (isValid(value) ? [] : issue(`expected ${kind}, found ${kindOf(value)}`))
}

export const nothing: Check = a('nothing', (value) => value === undefined || value === null)
export const aNumber: Check = a('a number', (value) => typeof value === 'number')
export const aString: Check = a('a string', (value) => typeof value === 'string')
export const aBlob: Check = a('a Blob', (value) => value instanceof Blob)
export const aDate: Check = a('a Date', (value) => value instanceof Date)

/** A further condition. */
export const also =
  (check: Check, isValid: (value: any) => boolean, message: string): Check =>
  (value) => {
    const issues = check(value)
    return issues.length > 0 || isValid(value) ? issues : issue(message)
  }

export const under = (key: PropertyKey, issues: Issue[]): Issue[] => issues.map(({ message, path }) => ({ message, path: [key, ...path] }))

/** An object with these properties. Reports the first invalid one, as Rust does. */
export function anObject(properties: Record<string, Check>): Check {
  return (value) => {
    if (typeof value !== 'object' || value === null) return issue(`expected an object, found ${kindOf(value)}`)
    for (const [key, check] of Object.entries(properties)) {
      const issues = key in value ? check(value[key]) : issue('missing')
      if (issues.length > 0) return under(key, issues)
    }
    return []
  }
}
