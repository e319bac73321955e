# Working skeleton; the targets of the finished project are added to it.
APXS    ?= apxs
CC      ?= gcc
BUILD   ?= build
STATEDIR ?= /var/lib/apache2

WARN    = -Wall -Wextra -Wshadow -Wconversion -Wvla -Wformat=2 -Wimplicit-fallthrough -Wstrict-prototypes
CFLAGS  ?= -O2 -g
IDEM_CPPFLAGS = -std=gnu11 $(shell apr-1-config --cppflags) -Iinclude -Isrc/core -isystem $(shell apr-1-config --includedir)
