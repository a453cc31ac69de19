// Prints the address of the page, with a token and the publish key after `#`, which browsers do not send to the Worker.

import { loadEnvFile } from 'node:process'

import { createToken } from './token.ts'

loadEnvFile('.dev.vars')
const { SIGNING_KEY = '', PUBLISH_KEY = '' } = process.env
const keys = new URLSearchParams({ token: createToken('some-room', SIGNING_KEY), publishKey: PUBLISH_KEY })
console.log(`\nWhen the Worker is ready, open http://localhost:8787/page#${keys}\n`)
