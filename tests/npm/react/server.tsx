// Renders the component of the tests to HTML.

import { renderToString } from 'react-dom/server'

import { Room } from './room.tsx'
import type { ServerModule } from './bundle.ts'

export const calls: ServerModule['calls'] = []

export const renderRoom: ServerModule['renderRoom'] = (props) =>
  renderToString(
    <Room
      {...props}
      open={() => {
        calls.push(props.channel)
        throw new Error('the factory must not be called on the server')
      }}
    />,
  )
