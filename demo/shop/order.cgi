#!/usr/bin/perl
# The shop as a CGI script, as such scripts have been for decades: POST places an order, GET lists the ledger.
# It knows nothing of retries. Each order it gets is charged to the bank and becomes a line of ledger/cgi.txt.
use strict;
use warnings;
use Fcntl qw(:flock SEEK_SET);
use FindBin;
use POSIX qw(strftime);

my $home = "$FindBin::Bin/..";

sub answer {
    my ($status, $type, $body, @headers) = @_;
    print "Status: $status\r\nContent-Type: $type\r\n", map("$_\r\n", @headers), "\r\n", $body;
    exit 0;
}

sub form {
    my $length = $ENV{CONTENT_LENGTH} || 0;
    my ($body, %field) = ('');
    read STDIN, $body, $length - length $body, length $body or last while length $body < $length;
    for (split /&/, $body) {
        my ($name, $value) = split /=/, $_, 2;
        for ($name, $value) { $_ //= ''; tr/+/ /; s/%([0-9A-Fa-f]{2})/chr hex $1/ge; s/[^ -~]//g }
        $field{$name} = $value;
    }
    return %field;
}

# The bank may take its time (the demo holds it closed while it sends the same order again).
sub charge {
    return unless -e "$home/bank/closed";
    open my $note, '>', "$home/bank/waiting" or answer('500 Internal Server Error', 'text/plain', "bank: $!\n");
    close $note;
    for (1 .. 600) { last unless -e "$home/bank/closed"; select undef, undef, undef, 0.05 }
}

sub place {
    my %order = @_;
    open my $ledger, '+>>', "$home/ledger/cgi.txt" or answer('500 Internal Server Error', 'text/plain', "ledger: $!\n");
    flock $ledger, LOCK_EX;
    seek $ledger, 0, SEEK_SET;
    my $number = 1;
    $number++ while <$ledger>;
    my $time = strftime '%H:%M:%S', localtime;
    print $ledger "order $number: $order{quantity} x $order{item}, at $time\n";
    close $ledger;
    return ($number, $time);
}

if ($ENV{REQUEST_METHOD} eq 'POST') {
    my %order = form();
    $order{$_} or answer('400 Bad Request', 'text/plain', "no $_\n") for qw(item quantity);
    charge();
    my ($number, $time) = place(%order);
    my $receipt = int rand 900_000;
    answer('201 Created', 'text/plain', "Thank you! Order $number, placed at $time, receipt $receipt.\n",
        "Location: $ENV{SCRIPT_NAME}?order=$number");
}
open my $ledger, '<', "$home/ledger/cgi.txt" or answer('200 OK', 'text/plain', "no orders\n");
answer('200 OK', 'text/plain', join '', <$ledger>);
