// What Nodemailer's mailparser finds in a message: one base64 line in, one line of JSON out.
import { createHash } from 'node:crypto'
import { createInterface } from 'node:readline'
import { simpleParser } from 'mailparser'

// what is made up beside the message: text out of HTML, links, images inside the HTML
const PLAIN = { skipHtmlToText: true, skipTextToHtml: true, skipTextLinks: true, skipImageLinks: true }

// "john doe"@x and john doe@x are the same local part: the quotes are no part of it
const halves = (address) => {
    const at = address.lastIndexOf('@')
    const local = address.slice(0, at)
    return [/^".*"$/.test(local) ? local.slice(1, -1).replace(/\\(.)/g, '$1') : local, address.slice(at + 1)]
}

const entry = (found) => (found.group ? [found.name, found.group.map(entry)] : [found.name || null, ...halves(found.address)])

// two fields of one name come as an array: there must be none
const addresses = (field) => (field ? field.value.map(entry) : [])

const file = (part) => ({
    name: part.filename ?? null,
    // contentType itself is guessed from the name where the header says application/octet-stream
    type: part.headers.get('content-type').value,
    disposition: part.contentDisposition ?? null,
    content_id: part.cid ?? null,
    sha256: createHash('sha256').update(part.content).digest('hex'),
})

// an invitation is a form of the text, like HTML
const isInvitation = (part) => part.contentType === 'text/calendar' && !part.contentDisposition

const found = (mail) => ({
    subject: mail.subject ?? '',
    from: addresses(mail.from),
    sender: addresses(mail.headers.get('sender')),
    reply_to: addresses(mail.replyTo),
    to: addresses(mail.to),
    cc: addresses(mail.cc),
    message_id: mail.messageId ?? '',
    references: [mail.references ?? []].flat(),
    text: mail.text ?? '',
    html: mail.html || '',
    calendar: mail.attachments.filter(isInvitation).map((part) => Buffer.from(part.content).toString()).join(''),
    files: mail.attachments.filter((part) => !isInvitation(part)).map(file),
})

for await (const line of createInterface({ input: process.stdin })) {
    const mail = await simpleParser(Buffer.from(line, 'base64'), PLAIN)
    process.stdout.write(JSON.stringify(found(mail)) + '\n')
}
