// SPDX-License-Identifier: Apache-2.0
// node pay.mjs SDK: one operation with that SDK, and its own way of sending again. Prints the id that it got.
import {createRequire} from "node:module";
const load = createRequire(`${process.env.SDK_FOLDER}/package.json`);
const KEY = "c0ffee00-5eed-4ea1-b0a7-0123456789ab"; // where an SDK leaves the key to its caller

async function stripe() {
    const Stripe = load("stripe");
    const client = new Stripe("sk_test_good", {maxNetworkRetries: 4}); // makes a key for each POST
    return (await client.paymentIntents.create({amount: 2000, currency: "eur"})).id;
}

async function svix() {
    const {Svix} = load("svix");
    const client = new Svix("testsk_good.eu"); // makes a key for each POST, and sends three times
    return (await client.message.create("app_1", {eventType: "invoice.paid", payload: {amount: 2000}})).id;
}

async function openai() {
    const {default: OpenAI} = load("openai");
    const client = new OpenAI({apiKey: "good", maxRetries: 4}); // sends again with the key of its caller
    const body = {model: "gpt-4o", messages: [{role: "user", content: "order a book"}]};
    return (await client.chat.completions.create(body, {headers: {"Idempotency-Key": KEY}})).id;
}

async function square() {
    const {SquareClient} = load("square");
    const client = new SquareClient({token: "good", maxRetries: 4}); // the key is in the body
    const answer = await client.payments.create({sourceId: "cnon:card-nonce-ok", idempotencyKey: KEY,
                                                 amountMoney: {amount: BigInt(2000), currency: "EUR"}});
    return answer.payment.id;
}

async function paypal() {
    const {Client, Environment, OrdersController} = load("@paypal/paypal-server-sdk");
    const client = new Client({
        clientCredentialsAuthCredentials: {oAuthClientId: "id", oAuthClientSecret: "good"}, environment: Environment.Sandbox,
        httpClientOptions: {retryConfig: {maxNumberOfRetries: 4, maximumRetryWaitTime: 60, httpMethodsToRetry: ["POST"]}},
    });
    const order = {intent: "CAPTURE", purchaseUnits: [{amount: {currencyCode: "EUR", value: "20.00"}}]};
    return (await new OrdersController(client).createOrder({body: order, paypalRequestId: KEY})).result.id;
}

async function adyen() {
    const {Client, CheckoutAPI} = load("@adyen/api-library");
    const checkout = new CheckoutAPI(new Client({apiKey: "good", environment: "TEST"}));
    const payment = {merchantAccount: "Tests", reference: "order 7", amount: {currency: "EUR", value: 2000},
                     returnUrl: "https://shop.example/", paymentMethod: {type: "scheme"}};
    for (let attempt = 0; ; attempt++) { // does not send again by itself
        try {
            return (await checkout.PaymentsApi.payments(payment, {idempotencyKey: KEY})).pspReference;
        } catch (error) {
            if (attempt === 4) throw error;
        }
    }
}

const sdks = {stripe, svix, openai, square, paypal, adyen};
console.log(await sdks[process.argv[2]]());
