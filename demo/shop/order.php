<?php
// The shop as a PHP page over SQLite: POST places an order, GET lists the ledger. It knows nothing of retries.
// Each order it gets is charged to the bank and becomes a row in ledger/php.sqlite.
$home = dirname(__DIR__);
$db = new PDO("sqlite:$home/ledger/php.sqlite");
$db->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION);
$db->exec('PRAGMA busy_timeout = 5000');
$db->exec('CREATE TABLE IF NOT EXISTS orders (number INTEGER PRIMARY KEY, item TEXT, quantity INTEGER, placed TEXT)');

// The bank may take its time (the demo holds it closed while it sends the same order again).
function charge($home)
{
    if (!file_exists("$home/bank/closed"))
        return;
    touch("$home/bank/waiting");
    for ($i = 0; $i < 600 && file_exists("$home/bank/closed"); $i++) {
        usleep(50000);
        clearstatcache();
    }
}

header('Content-Type: text/plain;charset=utf-8');
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    if (empty($_POST['item']) || empty($_POST['quantity'])) {
        http_response_code(400);
        exit("no item, or no quantity\n");
    }
    charge($home);
    $time = date('H:i:s');
    $db->prepare('INSERT INTO orders (item, quantity, placed) VALUES (?, ?, ?)')
        ->execute([$_POST['item'], (int)$_POST['quantity'], $time]);
    $number = $db->lastInsertId();
    http_response_code(201);
    header("Location: {$_SERVER['SCRIPT_NAME']}?order=$number");
    printf("Thank you! Order %d, placed at %s, receipt %d.\n", $number, $time, random_int(0, 899999));
    exit;
}
$orders = $db->query('SELECT * FROM orders ORDER BY number')->fetchAll(PDO::FETCH_ASSOC);
foreach ($orders as $o)
    echo "order {$o['number']}: {$o['quantity']} x {$o['item']}, at {$o['placed']}\n";
if (!$orders)
    echo "no orders\n";
