// The TypeScript and JavaScript of the documentation compiles. Its Rust is compiled as doctests and by `tests/worker/build.rs`.

import { expect, test } from 'vitest'

import { blocksOf, compile, createProject, documents, filesOf, headingsOf, linksOf } from './support/documents.ts'

test.each([
  ['README.md', 'router.ts'],
  ['docs/getting-started.md', 'worker.ts'],
  ['docs/local-development.md', 'page.ts'],
  ['docs/migrating-from-orpc.md', 'worker.ts'],
  ['docs/rust-durable-object.md', 'todo.ts'],
  ['docs/which-api.md', 'procedures.ts'],
])('the TypeScript of %s compiles in strict mode', async (document, file) => {
  const files = await filesOf(document)
  expect([...files.keys()]).toContain(file)
  const project = await createProject(files)
  expect(await compile(project.folder)).toEqual([])
  await project.dispose()
})

/** Declarations for the JavaScript of docs/generic-worker.md. */
const SURROUNDINGS = `
export {}
interface Stub extends Rpc.DurableObjectBranded {
  publish(event: object, options?: { to?: string[]; tags?: string[]; except?: string[]; retry?: number; comments?: string[]; key?: string }): Promise<string>
}
declare const env: { CHANNEL: DurableObjectNamespace<Stub> }
`

test('the JavaScript of docs/generic-worker.md compiles, comments included', async () => {
  const blocks = await blocksOf('docs/generic-worker.md', 'js')
  expect(blocks.length).toBeGreaterThan(0)
  const uses = blocks.flatMap((block) => [...block.matchAll(/publish\(event, \{.*?\}\)/g)].map(([use]) => use))
  expect(uses.length).toBeGreaterThan(0)
  // Comments contain placeholders for ids and tags.
  const commented = uses.map((use, index) => {
    const call = use.replace('[ids], tags: [tags]', "['id'], tags: ['tag']").replace('[ids]', "['id']")
    return `const event = {}; export const use${index} = env.CHANNEL.getByName('some-room').${call}`
  })
  const code = blocks.map((block) => `${block}\nexport const used = id`)
  const files = new Map([...code, ...commented].map((content, index) => [`block${index}.ts`, `${SURROUNDINGS}${content}`]))
  const project = await createProject(files)
  expect(await compile(project.folder)).toEqual([])
  await project.dispose()
})

test('every link between documents leads to a file and a heading', async () => {
  const broken: string[] = []
  for (const document of await documents()) {
    for (const { text, file, heading } of await linksOf(document)) {
      const headings = await headingsOf(file)
      if (headings === undefined || (heading !== undefined && !headings.includes(heading))) broken.push(`${document}: ${text}`)
    }
  }
  expect(broken).toEqual([])
})
