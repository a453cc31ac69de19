// The generic Worker: channels of any JSON events.

export { default, DurableEventIteratorObject } from 'durable-event-iterator/worker'
