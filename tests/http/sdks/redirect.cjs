// SPDX-License-Identifier: Apache-2.0
// Preloaded into Node: whatever connects to port 443 of any host comes to 127.0.0.1:$SDK_PORT instead, as it would with
// an entry in /etc/hosts. The SDKs are used as they are, with the addresses that they have.
const tls = require("node:tls");
const connect = tls.connect;

tls.connect = function (...words) {
    const options = words.find(word => word && typeof word === "object");
    if (options && Number(options.port) === 443) {
        options.servername ||= options.host;
        options.host = options.hostname = "127.0.0.1";
        options.port = Number(process.env.SDK_PORT);
        delete options.socket;
    }
    return connect.apply(this, words);
};
