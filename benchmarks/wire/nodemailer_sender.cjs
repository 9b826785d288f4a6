// Nodemailer with a pool: it takes the next message whenever a connection is idle, as its
// documentation has it. See turn.py for the task, and for what is said to whom.
'use strict'

const fs = require('node:fs')
const readline = require('node:readline')
const { createRequire } = require('node:module')

const task = JSON.parse(process.argv[2])
const letters = JSON.parse(fs.readFileSync(task.letters, 'utf8'))
const contents = letters.map((letter) => Buffer.from(letter.content))
const { form, connections, modules, dkim } = task
const transport = createRequire(modules + '/')('nodemailer').createTransport({
  pool: true,
  host: '127.0.0.1',
  port: task.port,
  ignoreTLS: true,
  maxConnections: connections,
  maxMessages: Infinity,
  dkim,
})

function message(number) {
  const index = number % letters.length
  const letter = letters[index]
  if (form === 'ready') {
    const field = Buffer.from(`Message-ID: <${number}@shop.example.org>\r\n`)
    const envelope = { from: letter.sender, to: [letter.recipient] }
    return { envelope, raw: Buffer.concat([field, contents[index]]) }
  }
  const { from, to, text, html } = letter
  return { from, to, text, html, subject: `${letter.subject}, ${number}` }
}

function sendAll() {
  return new Promise((resolve, reject) => {
    let next = 0
    let sent = 0
    const fill = () => {
      while (next < task.count && transport.isIdle()) {
        transport.sendMail(message(next++)).then(() => ++sent === task.count && resolve(), reject)
      }
    }
    transport.on('idle', fill)
    fill()
  })
}

const input = readline.createInterface({ input: process.stdin })
input.once('line', () => sendAll().then(() => console.log('done')))
input.once('close', () => transport.close())
console.log('ready')
