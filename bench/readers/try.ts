import '../../tests/support/sources.ts'
const { live, replay, megabytes } = await import('./readers.ts')
const [what, protocol, readers, data] = process.argv.slice(2) as any
const run = what === 'live' ? await live(protocol, Number(readers), Number(data) * 1e6) : await replay(protocol, Number(readers), Number(data) * 1e6)
console.log(what, protocol, run, megabytes(run.growth))
process.exit(0)
