# SPDX-License-Identifier: Apache-2.0
"""
A browser's judgement of pages with IDEMPOTENCY_FORM: the same tree of elements, each form that is due has one key.

The server has the pages twice: as they are at /plain, and through the filter at /form. They are loaded in frames of the
page that the driver shows, which is of that server, too.
"""

JUDGE = """
const method = Object.getOwnPropertyDescriptor(HTMLFormElement.prototype, 'method').get;
const attribute = (node, name) => Element.prototype.getAttribute.call(node, name);
const key = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
function ours(form, doc) {
    const action = attribute(form, 'action');
    if (!action) return true;
    try { return new URL(action, doc.baseURI).host === location.host; } catch { return false; }
}
// What is wrong with the page that came through the filter, or ''; n.fields counts what was added.
function judge(plain, form, exact, n) {
    const added = [...form.querySelectorAll('input[name=idempotency_key]')];
    const keys = new Set(added.map(field => field.value));
    let wrong = '';
    if (keys.size !== added.length) wrong = 'a key stands twice';
    for (const field of added)
        if (!key.test(field.value) || field.type !== 'hidden') wrong = 'odd field';
    const owned = new Map();
    for (const field of added) owned.set(field.form, (owned.get(field.form) || 0) + 1);
    for (const f of form.querySelectorAll('form')) {
        if (f.namespaceURI !== 'http://www.w3.org/1999/xhtml') continue;
        const due = method.call(f) === 'post' && ours(f, form) && !f.closest('noscript') ? 1 : 0;
        const has = owned.get(f) || 0;
        if (has > due || (exact && has < due))
            wrong = `${has} fields where ${due} are due: ${f.cloneNode(false).outerHTML.slice(0, 200)}`;
    }
    if (owned.has(null)) wrong = 'a field of no form';
    n.fields += added.length;
    for (const field of added) field.remove();
    const [a, b] = [plain, form].map(doc => doc.documentElement.outerHTML.replaceAll(/\\/(plain|form)\\//g, '/'));
    return a === b ? wrong : 'another tree: ' + a.slice(0, 700) + '\\n' + b.slice(0, 700);
}
"""
PAGES = (
    JUDGE
    + """
const [pages, done] = arguments;
const frame = url => new Promise(loaded => {
    const one = document.createElement('iframe');
    one.onload = () => loaded(one);
    one.src = url;
    document.body.append(one);
});
(async () => {
    const n = {fields: 0}, found = {};
    await Promise.all(Object.entries(pages).map(async ([name, exact]) => {
        const [a, b] = await Promise.all([frame('/plain/' + name), frame('/form/' + name)]);
        found[name] = judge(a.contentDocument, b.contentDocument, exact, n);
        a.remove(); b.remove();
    }));
    done([found, n.fields]);
})();
"""
)


def judge(driver, exact):
    """exact: {name: whether each form that is due must have a key}. Answers {name: what is wrong, or ""}, and the keys.
    """
    return driver.execute_async_script(PAGES, exact)
