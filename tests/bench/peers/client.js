// Runs one task of deflate_peers with Node's ws, and prints the seconds.
//
// usage: node client.js URL receive|send COUNT FILE
'use strict'

const fs = require('node:fs')
const { WebSocket } = require('ws')

const [url, task, count, file] = process.argv.slice(2)
const message = fs.readFileSync(file, 'utf8')
const ws = new WebSocket(url, { perMessageDeflate: { threshold: 0 }, maxPayload: 1 << 30 })
let began
let left = task === 'receive' ? Number(count) : 1

ws.on('open', async () => {
  began = process.hrtime.bigint()
  if (task === 'receive') return ws.send('go')
  for (let at = 0; at < Number(count); at++) {
    // Without this wait all messages would be in memory at once.
    if (ws.bufferedAmount > 1 << 20) await new Promise((resolve) => ws.send(message, resolve))
    else ws.send(message)
  }
})
ws.on('message', () => {
  if (--left > 0) return
  console.log(Number(process.hrtime.bigint() - began) / 1e9)
  ws.terminate()
})
