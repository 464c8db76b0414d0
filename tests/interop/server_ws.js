// The interop server made with Node's ws. See README.md for what it does.
//
// usage: node server_ws.js CERTIFICATE KEY
'use strict'

const fs = require('node:fs')
const http = require('node:http')
const https = require('node:https')
const { WebSocketServer } = require('ws')

const MAX_SIZE = 64 << 20
const SUBPROTOCOLS = ['chat.v2', 'chat.v1']

// What /wait-close saw, and who in /last-close waits for it: one of the two is empty.
const closes = []
const waiting = []

const handlers = {
  '/echo' (ws) {
    ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }))
  },

  '/ping' (ws) {
    ws.on('pong', (payload) => ws.send(`pong:${payload}`))
    ws.ping('are you there')
  },

  '/fragment' (ws) {
    ws.on('message', (data, binary) => {
      const third = Math.floor(data.length / 3)
      ws.send(data.subarray(0, third), { binary, fin: false })
      ws.send(data.subarray(third, 2 * third), { binary, fin: false })
      ws.send(data.subarray(2 * third), { binary, fin: true })
    })
  },

  '/deflate' (ws) { handlers['/echo'](ws) },

  '/deflate-fragment' (ws) { handlers['/fragment'](ws) },

  '/close' (ws, query) {
    ws.close(Number(query.get('code')), query.get('reason'))
  },

  '/wait-close' (ws) {
    ws.on('close', (code, reason) => {
      closes.push(`${code} ${reason}`)
      waiting.shift()?.()
    })
  },

  '/last-close' (ws) {
    const answer = () => ws.send(closes.shift())
    if (closes.length > 0) answer()
    else waiting.push(answer)
  },

  '/subprotocol' (ws) {
    ws.send(ws.protocol)
  }
}

// The options of a server are for all its connections: one for each of its paths and queries.
const servers = new Map()

function serverFor (url) {
  if (!servers.has(url.href)) {
    const number = (name) => Number(url.searchParams.get(name)) || undefined
    const perMessageDeflate = url.pathname.startsWith('/deflate') && {
      serverNoContextTakeover: number('server_no_context_takeover') === 1 || undefined,
      clientNoContextTakeover: number('client_no_context_takeover') === 1 || undefined,
      serverMaxWindowBits: number('server_max_window_bits'),
      clientMaxWindowBits: number('client_max_window_bits'),
      threshold: 0
    }
    servers.set(url.href, new WebSocketServer({
      noServer: true,
      maxPayload: MAX_SIZE,
      handleProtocols: (offered) => SUBPROTOCOLS.find((name) => offered.has(name)) ?? false,
      perMessageDeflate,
      verifyClient ({ req }, answer) {
        if (url.pathname === '/refuse') answer(false, 403, 'no entry', { 'X-Why': 'because' })
        else answer(url.pathname in handlers, 404)
      }
    }))
  }
  return servers.get(url.href)
}

function listen (server) {
  server.on('upgrade', (req, socket, head) => {
    const url = new URL(req.url, 'http://localhost')
    serverFor(url).handleUpgrade(req, socket, head, (ws) => {
      // Without a listener an error of one connection would end the process.
      ws.on('error', (error) => console.error(`${url.pathname}: ${error.message}`))
      handlers[url.pathname](ws, url.searchParams)
    })
  })
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(server.address().port))
  })
}

async function main ([certificate, key]) {
  const plain = await listen(http.createServer())
  const tls = await listen(https.createServer({
    cert: fs.readFileSync(certificate),
    key: fs.readFileSync(key)
  }))
  console.log(`PORT ${plain} ${tls}`)
}

main(process.argv.slice(2))
