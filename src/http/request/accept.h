/*
 * accept.h - which of the media types we can answer with a client likes.
 */
#ifndef IDEM_ACCEPT_H
#define IDEM_ACCEPT_H

#include <httpd.h>

/*
 * The best quality with which r's Accept names range ("text/html", or a wildcard as it is written), in thousandths; 0 where it does
 * not. Wildcards of the client stand for nothing else here, parameters but q are not looked at.
 */
int idem_accept_quality(request_rec *r, const char *range);

#endif
