/*
 * unsent.h - the one error of httpd's own that is certain: no backend was sent anything.
 */
#ifndef IDEM_UNSENT_H
#define IDEM_UNSENT_H

#include <httpd.h>

/* A handler of r returned status instead of a response: is it certain that no backend has seen the request? */
int idem_certainly_unsent(request_rec *r, int status);

#endif
