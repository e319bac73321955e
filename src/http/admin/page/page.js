/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page.js - what the page can do beyond showing: resolve and forget, after a question, and refresh itself.
 *
 * It calls the API as any client does. Nothing that comes from the store is ever taken for markup: texts are set as
 * text, and a refresh takes over what the server has rendered.
 */
'use strict';

const find = id => document.getElementById(id);
const dialog = find('confirm'), said = find('said');

function say(text, isBad) {
    said.textContent = text;
    said.className = isBad ? 'problem' : 'done';
    said.focus();
}

/* Beside this page, without the user and password that its address may have: fetch() takes none. */
function beside(path) {
    return new URL(path, location.origin + location.pathname);
}

/* ---- refreshing ---- */

function reveal() {
    for (const one of document.querySelectorAll('.deed, .scripted')) one.hidden = false;
    for (const one of document.querySelectorAll('.unscripted')) one.hidden = true;
}

/* A page that came by POST or by a slot's first digits shows one entry: that one is asked for. */
function address() {
    if (new URLSearchParams(location.search).has('slot')) return beside('./' + location.search);
    const link = document.querySelector('article a.slot.whole');
    return beside(link ? link.getAttribute('href') : './' + location.search);
}

async function refresh() {
    const answer = await fetch(address(), {headers: {Accept: 'text/html'}, cache: 'no-store'});
    const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html').getElementById('main');
    if (!fresh) throw new Error('The server did not answer with a page (' + answer.status + ').');
    find('main').replaceWith(document.adoptNode(fresh));
    reveal();
}

/* Nobody loses what they are about to type or to decide. */
function isBusy() {
    const at = document.activeElement;
    return dialog.open || document.hidden || (at && find('main').contains(at) && at !== find('main'));
}

function setTimer() {
    const box = find('refresh');
    box.checked = sessionStorage.getItem('refresh') === '1';
    box.addEventListener('change', () => sessionStorage.setItem('refresh', box.checked ? '1' : '0'));
    setInterval(async () => {
        if (!box.checked || isBusy()) return;
        try {
            await refresh();
            if (said.className === 'problem stale') say('', false);
        } catch (error) {
            said.textContent = 'What you see is old: the server does not answer. ' + error.message;
            said.className = 'problem stale';
        }
    }, 10000);
}

/* ---- acting ---- */

async function problemOf(answer) {
    try {
        return (await answer.json()).detail;
    } catch {
        return 'The server answered ' + answer.status + '.';
    }
}

async function ask(path, more) {
    const answer = await fetch(beside(path), {cache: 'no-store', ...more});
    if (!answer.ok) throw new Error(await problemOf(answer));
    return answer.json();
}

async function act(deed) {
    const {token} = await ask('v1/token');
    const entry = 'v1/entries/' + encodeURIComponent(deed.slot);
    const headers = {'Idempotency-Admin-Token': token};
    if (!deed.as)
        return ask(entry + '?version=' + encodeURIComponent(deed.version), {method: 'DELETE', headers});
    headers['Content-Type'] = 'application/json';
    return ask(entry + '/resolve', {method: 'POST', headers,
                                    body: JSON.stringify({as: deed.as, version: deed.version})});
}

/* Says what will happen; true if that is wanted. */
function confirmed(name, what, slot) {
    find('confirm-title').textContent = name + '?';
    find('confirm-what').textContent = what;
    find('confirm-slot').textContent = slot;
    find('confirm-yes').textContent = name;
    dialog.returnValue = 'no';
    dialog.showModal();
    return new Promise(done => dialog.addEventListener('close', () => done(dialog.returnValue === 'yes'),
                                                       {once: true}));
}

async function clicked(button) {
    const what = button.closest('li').querySelector('p').textContent;
    if (!await confirmed(button.textContent, what, button.dataset.slot)) return;
    const outcome = {text: '', isBad: false};
    try {
        const answer = await act(button.dataset);
        outcome.text = 'Slot ' + answer.slot.slice(0, 12) + '… is ' + answer.done + '. It was ' + answer.before.state + '.';
    } catch (error) {
        outcome.text = 'Not done. ' + error.message;
        outcome.isBad = true;
    }
    try {
        await refresh();
    } catch (error) {
        outcome.text += ' ' + error.message;
    }
    say(outcome.text, outcome.isBad);
}

document.addEventListener('click', event => {
    const button = event.target.closest('button.deed');
    if (button) clicked(button);
});
reveal();
setTimer();
