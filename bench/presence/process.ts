// The entry point of a process with many members. `run.ts` starts several of them.

import '../../tests/support/sources.ts'

const { serve } = await import('./crowd.ts')
serve()
