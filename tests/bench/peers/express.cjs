// SPDX-License-Identifier: Apache-2.0
// Express with express-idempotency in memory, as its README wires it. Started by peers.py with a port.
const express = require('express');
const {idempotency, getSharedIdempotencyService} = require('express-idempotency');
const answer = require(process.env.PEERS_HERE + '/answer.cjs');

const send = (request, response) => response.status(201).set(answer.fields).send(answer.body());
const app = express();
app.disable('etag');
app.use((request, response, next) => {  // wrk's bodies are no JSON
    request.headers['content-type'] = 'text/plain';
    next();
});
app.use(express.text());
app.post('/no', send);
app.post('/on', idempotency(), (request, response) => {
    if (!getSharedIdempotencyService().isHit(request)) {
        send(request, response);
    }
});
app.listen(Number(process.argv[2]), '127.0.0.1');
