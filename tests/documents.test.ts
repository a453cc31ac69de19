// What stands in the documents compiles. Their Rust is compiled as the crate's doctests and by `tests/worker/build.rs`.

import { expect, test } from 'vitest'

import { blocksOf, compile, createProject, filesOf } from './support/documents.ts'

test('every block of docs/migrating-from-orpc.md compiles, strictly', async () => {
  const files = await filesOf('docs/migrating-from-orpc.md')
  expect([...files.keys()]).toContain('worker.ts')
  const project = await createProject(files)
  expect(await compile(project.folder)).toEqual([])
  await project.dispose()
})

/** What the README's JavaScript takes for granted. */
const SURROUNDINGS = `
export {}
interface Stub extends Rpc.DurableObjectBranded {
  publish(event: object, options?: { to?: string[]; tags?: string[]; except?: string[]; retry?: number; comments?: string[]; key?: string }): Promise<string>
}
declare const env: { CHANNEL: DurableObjectNamespace<Stub> }
`

test('the JavaScript of README.md compiles, with the use that its comment tells of', async () => {
  const blocks = await blocksOf('README.md', 'js')
  expect(blocks.length).toBeGreaterThan(0)
  const uses = blocks.flatMap((block) => [...block.matchAll(/publish\(event, \{.*?\}\)/g)].map(([use]) => use))
  expect(uses.length).toBeGreaterThan(0)
  // In the comment the values are names.
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
