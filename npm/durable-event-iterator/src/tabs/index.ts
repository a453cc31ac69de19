/**
 * Sharing one WebSocket between the tabs of a browser.
 *
 * @module
 */

export type { SocketSource } from '../client/socket-source.js'
export { shareBetweenTabs } from './share-between-tabs.js'
export type { TabSharingOptions } from './share-between-tabs.js'
