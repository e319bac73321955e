// SPDX-License-Identifier: Apache-2.0
// Fastify with @node-idempotency/core in memory, its hooks wired as its README says. Started by peers.py with a port.
const fastify = require('fastify');
const {Idempotency, IdempotencyErrorCodes} = require('@node-idempotency/core');
const {MemoryStorageAdapter} = require('@node-idempotency/storage-adapter-memory');
const answer = require(process.env.PEERS_HERE + '/answer.cjs');

const idempotency = new Idempotency(new MemoryStorageAdapter());
const told = (request) => ({headers: request.headers, path: request.url, body: request.body, method: request.method});

async function before(request, reply) {
    try {
        const found = await idempotency.onRequest(told(request));
        if (found) {
            request.again = true;
            return reply.code(found.additional.status).headers(found.additional.fields).send(found.body);
        }
    } catch (error) {
        request.again = true;
        const other = error.code === IdempotencyErrorCodes.IDEMPOTENCY_FINGERPRINT_MISSMATCH;
        return reply.code(other ? 422 : 409).send({error: error.code});
    }
}

async function after(request, reply, body) {
    if (!request.again) {
        await idempotency.onResponse(told(request), {body, additional: {status: reply.statusCode,
                                                                       fields: answer.fields}});
    }
    return body;
}

const send = (request, reply) => reply.code(201).headers(answer.fields).send(answer.body());
const app = fastify();
app.removeAllContentTypeParsers();  // wrk's bodies are no JSON
app.addContentTypeParser('*', {parseAs: 'string'}, (request, body, done) => done(null, body));
app.post('/no', send);
app.post('/on', {preHandler: before, onSend: after}, send);
app.listen({port: Number(process.argv[2]), host: '127.0.0.1'});
