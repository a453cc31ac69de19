export interface Template {
  /** One line for the help and the prompt. */
  description: string
  /** The secrets in `.dev.vars`. Each one gets a random value. */
  secrets: readonly string[]
  /** What the project needs besides Node.js. */
  requires?: string
}

/** The templates by name. Each one has a folder in `templates/`. */
export const templates = {
  typescript: {
    description: 'a Durable Object and an oRPC server in TypeScript',
    secrets: ['SIGNING_KEY', 'INSPECT_KEY'],
  },
  worker: {
    description: 'no code: the generic Worker, for a server in any language',
    secrets: ['SIGNING_KEY', 'PUBLISH_KEY', 'INSPECT_KEY'],
  },
  rust: {
    description: 'a Durable Object and an oRPC server in Rust',
    secrets: ['SIGNING_KEY', 'INSPECT_KEY'],
    requires: 'Rust through https://rustup.rs, and a C compiler',
  },
} satisfies Record<string, Template>

export type TemplateName = keyof typeof templates

export const templateNames = Object.keys(templates) as TemplateName[]

export function isTemplateName(name: string): name is TemplateName {
  return Object.hasOwn(templates, name)
}
