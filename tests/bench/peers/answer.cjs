// SPDX-License-Identifier: Apache-2.0
// The answer of the two servers of Node.js beside this file: the same fields and size as each peer's.
let runs = 0;

exports.fields = {'Content-Type': 'application/json', 'Location': '/orders/4711',
                  'X-Request-Id': '6f1a4bb2-7d0e-4c55-9c0b-3b6c3a1d9a10', 'Cache-Control': 'no-store'};
exports.body = () => {
    const head = `{"run":"${String(++runs).padStart(10, '0')}","filling":"`;
    return head + 'x'.repeat(250 - head.length - 2) + '"}';
};
