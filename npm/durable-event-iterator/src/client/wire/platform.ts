interface PlatformClasses {
  Blob: Blob
  File: File
  FormData: FormData
  URL: URL
  URLSearchParams: URLSearchParams
}

/** Whether the value is an instance of the global class. Always false in environments without that class. */
export function isInstance<TName extends keyof PlatformClasses>(value: unknown, name: TName): value is PlatformClasses[TName] {
  const constructor = (globalThis as Record<string, unknown>)[name]
  return typeof constructor === 'function' && value instanceof constructor
}
