import '../../tests/support/sources.ts'
const { live } = await import('./readers.ts')
const [protocol, readers, data] = process.argv.slice(2) as any
console.log(JSON.stringify(await live(protocol, Number(readers), Number(data) * 1e6)))
process.exit(0)
