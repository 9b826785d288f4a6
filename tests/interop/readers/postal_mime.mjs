// What postal-mime finds in a message: one base64 line in, one line of JSON out.
import { createHash } from 'node:crypto'
import { createInterface } from 'node:readline'
import PostalMime, { addressParser } from 'postal-mime'

// "john doe"@x and john doe@x are the same local part: the quotes are no part of it
const halves = (address) => {
    const at = address.lastIndexOf('@')
    const local = address.slice(0, at)
    return [/^".*"$/.test(local) ? local.slice(1, -1).replace(/\\(.)/g, '$1') : local, address.slice(at + 1)]
}

const entry = (found) => (found.group ? [found.name, found.group.map(entry)] : [found.name || null, ...halves(found.address)])

// `mail.from` holds the first address only: the parser it is read with gives all of them
const addresses = (mail, key) => mail.headers.filter((field) => field.key === key).flatMap((field) => addressParser(field.value).map(entry))

const file = (part) => ({
    name: part.filename,
    type: part.mimeType,
    disposition: part.disposition,
    content_id: part.contentId?.replace(/^<|>$/g, '') ?? null,
    sha256: createHash('sha256').update(Buffer.from(part.content)).digest('hex'),
})

// an invitation is a form of the text, like HTML
const isInvitation = (part) => part.mimeType === 'text/calendar' && !part.disposition

const found = (mail) => ({
    subject: mail.subject ?? '',
    from: addresses(mail, 'from'),
    sender: addresses(mail, 'sender'),
    reply_to: addresses(mail, 'reply-to'),
    to: addresses(mail, 'to'),
    cc: addresses(mail, 'cc'),
    message_id: mail.messageId ?? '',
    references: (mail.references ?? '').split(/\s+/).filter(Boolean),
    text: mail.text ?? '',
    html: mail.html ?? '',
    calendar: mail.attachments.filter(isInvitation).map((part) => Buffer.from(part.content).toString()).join(''),
    files: mail.attachments.filter((part) => !isInvitation(part)).map(file),
})

for await (const line of createInterface({ input: process.stdin })) {
    const mail = await PostalMime.parse(Buffer.from(line, 'base64'))
    process.stdout.write(JSON.stringify(found(mail)) + '\n')
}
