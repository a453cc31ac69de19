export { default, DurableEventIteratorObject } from 'durable-event-iterator/worker'
