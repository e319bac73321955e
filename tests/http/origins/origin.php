<?php
/* The PHP origin, under FPM and mod_php: what answer.py describes, without a line about idempotency. With
   fatal=N it makes a fatal error before piece N, or "at once". */

function asked(string $query): array
{
    $pairs = [];
    foreach (array_filter(explode('&', $query), 'strlen') as $pair) {
        [$name, $value] = array_map('urldecode', explode('=', $pair, 2) + [1 => '']);
        $pairs[] = [$name, $value];
    }
    return $pairs;
}

function binary(string $seed, int $size): string
{
    $body = '';
    for ($n = 0; strlen($body) < $size; $n++) {
        $body .= hash('sha256', "$seed:$n", true);
    }
    return substr($body, 0, $size);
}

function pass_gate(string $stage, string $path): void
{
    $gate = "$stage/gates/" . str_replace('/', '_', trim($path, '/'));
    $lock = @fopen($gate, 'rb');
    $entered = $lock ? @fopen("$gate.entered", 'rb+') : false;
    if ($entered) {
        fwrite($entered, 'x');
        flock($lock, LOCK_SH);
    }
}

$stage = $_SERVER['ORIGIN_STAGE'];
$request = ['kind' => PHP_SAPI === 'apache2handler' ? 'php' : 'fpm', 'method' => $_SERVER['REQUEST_METHOD'],
            'path' => $_SERVER['PATH_INFO'] ?? '/', 'query' => $_SERVER['QUERY_STRING'], 'id' => bin2hex(random_bytes(8)),
            'pid' => getmypid()];
$starts = fn (string ...$heads) => array_filter($_SERVER, fn ($name) => array_filter($heads, fn ($head) => str_starts_with($name, $head)),
                                                ARRAY_FILTER_USE_KEY);
$request += $starts('IDEMPOTENCY_');
file_put_contents("$stage/ledger", json_encode($request) . "\n", FILE_APPEND);
$digest = hash_init('sha256');
$length = hash_update_stream($digest, fopen('php://input', 'rb'));
pass_gate($stage, $request['path']);

$pairs = asked($request['query']);
$told = array_column($pairs, 1, 0);
header_remove('X-Powered-By');
ini_set('default_mimetype', '');
if (($told['fatal'] ?? '') === 'at once') {
    ini_set('display_errors', '0');
    there_is_no_such_function();
}
$body = $told['body'] ?? json_encode(['execution' => $request['id']]);
if (isset($told['size'])) {
    $body = binary($told['seed'] ?? '', (int)$told['size']);
}
if (isset($told['echo'])) {
    $body = json_encode($request + ['length' => $length, 'sha256' => hash_final($digest),
                                    'sent' => $starts('HTTP_', 'CONTENT_', 'REDIRECT_')]);
}
if ($body !== '') {
    header('Content-Type: application/' . (isset($told['size']) ? 'octet-stream' : 'json'));
}
foreach ($pairs as [$name, $value]) {
    if ($name === 'header') {
        header($value, str_starts_with(strtolower($value), 'content-type'));
    }
}
$status = (int)($told['status'] ?? 201);
if ($status) {
    header(trim("HTTP/1.1 $status " . ($told['reason'] ?? '')), true, $status);
}
if (!isset($told['parts'])) {
    echo $body;
    return;
}
while (ob_get_level()) {
    ob_end_clean();
}
$size = (int)ceil(strlen($body) / $told['parts']);
for ($n = 0; $n < $told['parts']; $n++) {
    flush();
    pass_gate($stage, "$request[path].$n");
    if ("$n" === ($told['fatal'] ?? '')) {
        ini_set('display_errors', '0');
        there_is_no_such_function();
    }
    echo substr($body, $n * $size, $size);
}
flush();
pass_gate($stage, "$request[path].$n");
$request['path'] .= '.end';
file_put_contents("$stage/ledger", json_encode($request) . "\n", FILE_APPEND);
