// Lets Node.js import the sources of the npm package, which import each other by the names of the built files. Import this
// module first, and modules that depend on the sources with `import()` afterwards: static imports are resolved earlier.

import { registerHooks } from 'node:module'

registerHooks({
  resolve: (specifier, context, next) => {
    const isSource = context.parentURL?.includes('/npm/durable-event-iterator/src/') === true && specifier.startsWith('.')
    return next(isSource ? specifier.replace(/\.js$/, '.ts') : specifier, context)
  },
})
