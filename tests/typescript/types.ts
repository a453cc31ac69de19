// Tests of the generated interfaces (`generated.ts`) with the types of oRPC's client. This file is only compiled.

import { createORPCClient } from '@orpc/client'
import type { Client } from '@orpc/client'
import { RPCLink } from '@orpc/client/fetch'

import type { ClientDurableEventIterator, ClientDurableIterator } from '../../npm/durable-event-iterator/src/orpc-v1/index.ts'
import { DurableEventIterator } from '../../npm/durable-event-iterator/src/index.ts'
import type {
  InferDurableEventIteratorObjectEvent,
  InferDurableEventIteratorObjectRPC,
  InferDurableEventIteratorObjectTokenAttachment,
  TokenAttachment,
} from '../../npm/durable-event-iterator/src/index.ts'
import type {
  Adjacent,
  Attachment,
  Change,
  Page,
  Person,
  Server,
  Shape,
  Types,
  TypesStub,
  UntypedChannel,
  Untagged,
  Wire,
  WithoutAttachment,
  WithoutAttachmentStub,
} from './generated.ts'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const yes = <_T extends true>(): void => {}

yes<Equal<InferDurableEventIteratorObjectEvent<Types>, Change>>()
yes<Equal<InferDurableEventIteratorObjectEvent<UntypedChannel>, object>>()
yes<Equal<InferDurableEventIteratorObjectTokenAttachment<Types>, Attachment>>()
yes<Equal<InferDurableEventIteratorObjectTokenAttachment<UntypedChannel>, TokenAttachment>>()
yes<Equal<InferDurableEventIteratorObjectTokenAttachment<WithoutAttachment>, undefined>>()

type Names = InferDurableEventIteratorObjectRPC<Types>
yes<
  Equal<
    Names,
    | 'wire'
    | 'shape'
    | 'adjacent'
    | 'untagged'
    | 'nothing'
    | 'optional'
    | 'any'
    | 'text'
    | 'page'
    | 'pages'
    | 'publish'
    | 'count'
    | 'people'
    | 'items'
    | 'sum'
    | 'router'
    | 'needs-quotes'
  >
>()

// A server issues tokens with the attachment.
const signingKey = 'key'
new DurableEventIterator<Types>('name', { signingKey, att: { user: 'anna', groups: { staff: 1 } } }).rpc('wire', 'router')
new DurableEventIterator<WithoutAttachment>('name', { signingKey })
new DurableEventIterator<UntypedChannel>('name', { signingKey, att: ['anything'] })
// @ts-expect-error: without the attachment
new DurableEventIterator<Types>('name', { signingKey })
// @ts-expect-error: an attachment of another type
new DurableEventIterator<Types>('name', { signingKey, att: { user: 'anna', groups: { staff: 'yes' } } })
// @ts-expect-error: not a procedure
new DurableEventIterator<WithoutAttachment>('name', { signingKey }).rpc('wire')

export async function clients(
  iterator: ClientDurableEventIterator<Types, Names>,
  other: ClientDurableIterator<Types, Names>,
  person: Person,
  wire: Wire,
): Promise<void> {
  for await (const event of iterator) {
    yes<Equal<typeof event, Change>>()
    if (event.type === 'added') yes<Equal<typeof event.fullName, string>>()
    if (event.type === 'has_moved') yes<Equal<typeof event.newAddress.position, [number, number]>>()
  }
  const { at, big, names, people, link, pattern, file, nothing, any, object, number, nan, long, custom, named_custom, id } =
    await iterator.wire(wire)
  yes<Equal<typeof at, Date>>()
  yes<Equal<typeof big, bigint>>()
  yes<Equal<typeof names, Set<string>>>()
  yes<Equal<typeof people, Map<string, Person>>>()
  yes<Equal<typeof link, URL>>()
  yes<Equal<typeof pattern, RegExp>>()
  yes<Equal<typeof file, Blob>>()
  yes<Equal<typeof nothing, undefined>>()
  yes<Equal<typeof any, unknown>>()
  yes<Equal<typeof object, Record<string, unknown>>>()
  yes<Equal<typeof number, number>>()
  yes<Equal<typeof nan, number>>()
  yes<Equal<typeof long, number>>()
  yes<Equal<typeof custom, unknown>>()
  yes<Equal<typeof named_custom, Person>>()
  yes<Equal<typeof id, string>>()
  await iterator.wire({ ...wire, file: new File([], 'a.txt') })

  yes<Equal<typeof person.fullName, string>>()
  yes<Equal<typeof person.nickName, string | null>>()
  yes<Equal<typeof person.maybeTwice, number | null>>()
  yes<Equal<(typeof person)['e-mail'], string | null>>()
  yes<Equal<typeof person.tags, string[] | undefined>>()
  yes<Equal<typeof person.isAdmin, boolean | undefined>>()
  yes<Equal<typeof person.street, string>>()
  // @ts-expect-error: `#[serde(skip)]`
  person.secret

  yes<Equal<Awaited<ReturnType<typeof iterator.shape>>, Shape>>()
  for (const shape of ['Empty', { Circle: 1 }, { Line: [1, 2] }, { Rectangle: { width: 1, height: 2 } }] satisfies Shape[]) {
    await iterator.shape(shape)
  }
  // @ts-expect-error: no such variant
  await iterator.shape('Full')
  await iterator.adjacent({ kind: 'Text', value: 'a' } satisfies Adjacent)
  yes<Equal<Untagged, number | string>>()

  const none = await iterator.nothing()
  yes<Equal<typeof none, void>>()
  const text = await iterator.optional()
  yes<Equal<typeof text, string | null>>()
  await iterator.optional(null)
  await iterator.optional('a')
  // @ts-expect-error: input of another type
  await iterator.optional(1)
  // @ts-expect-error: without input
  await iterator.text()
  await iterator.any({ any: 'value' })
  const page: Page<Person> = await iterator.page({ items: [person], next: { items: [], next: null } })
  yes<Equal<typeof page.items, Person[]>>()
  const pages = await iterator.pages({ first: { items: [1], next: null } })
  yes<Equal<typeof pages, { [name: string]: Page<number> }>>()
  const published = await iterator.publish({ type: 'cleared' })
  yes<Equal<typeof published, { id: string; duplicate: boolean }>>()

  const count = await iterator.count(3, { signal: new AbortController().signal })
  for await (const item of count) yes<Equal<typeof item, number>>()
  const { value } = await count.next()
  yes<Equal<typeof value, number | void>>()
  for await (const item of await iterator.people()) yes<Equal<typeof item, Person>>()
  for await (const item of await iterator.items()) yes<Equal<typeof item, unknown>>()
  async function* numbers(): AsyncGenerator<number> {
    yield 1
  }
  const sum = await iterator.sum(numbers())
  yes<Equal<typeof sum, number>>()
  async function* texts(): AsyncGenerator<string> {
    yield 'a'
  }
  // @ts-expect-error: items of another type
  await iterator.sum(texts())

  const pong = await iterator.router.ping()
  yes<Equal<typeof pong, string>>()
  const echo = await iterator.router['deep-er'].echo('a')
  yes<Equal<typeof echo, string>>()
  await iterator['needs-quotes']()

  const again = await other.wire(wire)
  yes<Equal<typeof again, Wire>>()
}

// A client by the path of a procedure, as uploads need it.
export const upload = (client: ReturnType<Types['sum']>): Client<Record<never, never>, AsyncIteratorObject<number, unknown, void>, number, Error> =>
  client

export async function server(plain: Server, client: Server<{ token: string }>, person: Person): Promise<void> {
  const found = await plain.find(person)
  yes<Equal<typeof found, Person>>()
  await client.admin.erase('anna', { context: { token: 'a' } })
  // @ts-expect-error: without the context
  await client.admin.erase('anna')
}
createORPCClient<Server>(new RPCLink({ url: 'https://example.com/rpc' }))

export async function stubs(stub: TypesStub, other: WithoutAttachmentStub): Promise<void> {
  const { id } = await stub.publish({ type: 'cleared' }, { tags: ['staff'] })
  yes<Equal<typeof id, string>>()
  await other.publish({ type: 'cleared' })
  // @ts-expect-error: an event of another type
  await stub.publish({ type: 'unknown' })
  const none = await stub.none()
  yes<Equal<typeof none, void>>()
  const sum = await stub.add(1, 2)
  yes<Equal<typeof sum, number>>()
  const found = await stub.find(undefined, 'a')
  yes<Equal<typeof found, Date>>()
  await stub.find('a', 'b', null)
  // @ts-expect-error: without the second argument
  await stub.find('a')
  const link = await stub.link()
  yes<Equal<typeof link, string>>()
  const links = await stub.links()
  yes<Equal<typeof links.links, string[]>>()
  yes<Equal<typeof links.at, Date>>()
  const dates = await stub.dates(new Map([[new Date(), new Set([1n])]]))
  yes<Equal<typeof dates, Map<Date, Set<bigint>>>>()
  // @ts-expect-error: no such method
  await stub.wire()
}
