import { TOKEN } from '../token-carrier.js'
import { readClaims } from '../client/claims.js'

/**
 * Adds procedures to an iterator: a property for each name that the current token allows.
 *
 * @param createClient - Returns the client of the procedures with this name.
 */
export function withProcedures<TIterator extends object>(
  iterator: TIterator,
  getToken: () => string,
  createClient: (name: string) => unknown,
): TIterator {
  let read: { token: string; procedures: readonly string[] } | undefined
  const isAllowed = (name: string): boolean => {
    const token = getToken()
    if (read?.token !== token) read = { token, procedures: readClaims(token)?.payload.rpc ?? [] }
    return read.procedures.includes(name)
  }
  const isProcedure = (name: PropertyKey): name is string =>
    typeof name === 'string' && name !== 'then' && !(name in iterator) && isAllowed(name)
  return new Proxy(iterator, {
    get(_, name) {
      if (name === TOKEN) return getToken()
      if (isProcedure(name)) return createClient(name)
      const value: unknown = Reflect.get(iterator, name, iterator)
      return typeof value === 'function' ? value.bind(iterator) : value
    },
    has: (_, name) => name === TOKEN || isProcedure(name) || name in iterator,
  })
}
