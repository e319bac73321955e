#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Clients that retry while apt changes the module under the server: package_load.pl run FOLDER, until FOLDER/stop is
# there; package_load.pl judge FOLDER LEDGER says what they saw. Run by package_upgrade.sh in a chroot.
#
# An operation is sent until its answer is known, and again later, by any client. Some clients leave before the answer.
# The application's ledger has a line for each execution, so "at most once" is a count; "the same answer" is that a
# replay has the words of the ledger. Only perl-base is needed.
use strict;
use warnings;
use IO::Socket::INET;

my ($verb, $folder, $ledger) = @ARGV;
use constant CLIENTS => 6;
use constant KEPT => 40;    # operations that a client goes back to

sub slurp {
    my ($path) = @_;
    open(my $file, '<', $path) or return '';
    local $/;
    return scalar(<$file>) // '';
}

# The status and the body, or nothing if there was no whole answer.
sub ask {
    my ($operation, $leaves) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => 80, Timeout => 20) or return;
    my $body = "operation=$operation";
    print $socket "POST /cgi-bin/ledger HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: $operation\r\n"
        . "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: " . length($body)
        . "\r\nConnection: close\r\n\r\n$body";
    return if $leaves;
    my $answer = '';
    while (sysread($socket, my $piece, 65536)) {
        $answer .= $piece;
    }
    my ($status) = $answer =~ m{^HTTP/1\.1 (\d+)} or return;
    my ($length) = $answer =~ /^Content-Length: (\d+)/mi;
    my ($head, $said) = split(/\r\n\r\n/, $answer, 2);
    return if !defined $said || (defined $length && length($said) != $length);
    return ($status, $said, $head =~ /^Idempotent-Replayed: true/mi ? 1 : 0);
}

# done, unknown, or again; with what was said.
sub outcome {
    my ($status, $said, $replayed) = ask(@_);
    return ('again') if !defined $status || $status >= 500;
    return ($replayed ? 'replayed' : 'done', $said) if $status == 201;
    return ('unknown') if $status == 409 && $said =~ /outcome-unknown/;
    return ('again') if $status == 409 && $said =~ /in-progress/;
    return ("wrong-$status", $said);
}

sub client {
    my ($number) = @_;
    my (@known, $count);
    open(my $journal, '>>', "$folder/journal") or die;
    $journal->autoflush(1);
    srand($number);
    until (-e "$folder/stop") {
        my $operation = @known && rand() < 0.4 ? $known[rand @known] : sprintf('%d-%06d', $number, ++$count);
        my $phase = slurp("$folder/phase");
        my ($word, $said) = outcome($operation, rand() < 0.05);
        select(undef, undef, undef, 0.02) if $word eq 'again';    # the pace of a client that retries
        if ($word ne 'again') {
            $said =~ s/\s+$// if defined $said;
            syswrite($journal, join(' ', $phase, $operation, $word, $said // '-') . "\n");
        }
        push(@known, $operation) if !grep { $_ eq $operation } @known;
        shift(@known) if @known > KEPT;
    }
    exit(0);
}

sub run {
    for my $number (1 .. CLIENTS) {
        my $pid = fork() // die;
        client($number) if !$pid;
    }
    1 while wait() > 0;
}

sub judge {
    my (%ran, %saw, @faults);
    for (split(/\n/, slurp($ledger))) {
        my ($operation) = /^(\S+)/;
        push(@{$ran{$operation}}, $_);
    }
    for (sort keys %ran) {
        push(@faults, "$_ was executed " . scalar(@{$ran{$_}}) . ' times') if @{$ran{$_}} > 1;
    }
    for (split(/\n/, slurp("$folder/journal"))) {
        my ($phase, $operation, $word, $said) = split(/ /, $_, 4);
        $saw{$phase}{$word}++;
        if ($word =~ /^wrong/) {
            push(@faults, "$operation got $word: $said");
        } elsif ($word ne 'unknown' && ($ran{$operation}[0] // '') ne $said) {
            push(@faults, "$operation was answered \"$said\", and did \"" . ($ran{$operation}[0] // 'nothing') . '"');
        }
    }
    for my $phase (sort keys %saw) {
        print "$phase: ", join(', ', map { "$saw{$phase}{$_} $_" } sort keys %{$saw{$phase}}), "\n";
    }
    print scalar(keys %ran), " operations, ", scalar(@faults), " faults\n";
    print "$_\n" for @faults;
    exit(@faults ? 1 : 0);
}

$verb eq 'run' ? run() : judge();
