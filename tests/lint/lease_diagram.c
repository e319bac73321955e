/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lease_diagram.c - prints the lease's table for docs/internals/lease.md: a state diagram (Mermaid) and the list of
 * every pair.
 *
 * Run by tests/lint/diagram.py. With arguments (files with lines "PHASE EVENT test-name") a column says which test
 * reaches a pair. It fails for a pair without a test, and for a line about a pair that is not in the table.
 */
#include <stdio.h>
#include <string.h>

#include "lease.h"

#define LINE 256

static char reached_by[IDEM_PHASES][IDEM_EVENTS][LINE];

static int is_pair(int phase, int event)
{
    return phase != IDEM_PHASE_DONE && idem_lease_step((idem_phase)phase, (idem_event)event).action != IDEM_DO_FAIL;
}

static int note(const char *phase, const char *event, const char *test)
{
    for (int p = 0; p < IDEM_PHASES; p++)
        for (int e = 0; e < IDEM_EVENTS; e++)
            if (!strcmp(phase, idem_phase_name((idem_phase)p)) && !strcmp(event, idem_event_name((idem_event)e)) &&
                is_pair(p, e)) {
                snprintf(reached_by[p][e], LINE, "%s", test);
                return 1;
            }
    fprintf(stderr, "lease_diagram: the table has no pair %s %s\n", phase, event);
    return 0;
}

static int read_tests(const char *path)
{
    FILE *file = fopen(path, "r");
    char line[LINE], phase[64], event[64], test[160];
    int good = file != NULL;

    while (file && fgets(line, sizeof(line), file))
        if (line[0] != '#' && sscanf(line, "%63s %63s %159[^\n]", phase, event, test) == 3)
            good &= note(phase, event, test);
    if (file)
        fclose(file);
    return good;
}

static void print_diagram(void)
{
    printf("```mermaid\nstateDiagram-v2\n    [*] --> IDLE\n");
    for (int p = 0; p < IDEM_PHASES; p++)
        for (int e = 0; e < IDEM_EVENTS; e++) {
            idem_step step = {IDEM_PHASE_DONE, IDEM_DO_FAIL};

            if (is_pair(p, e)) {
                step = idem_lease_step((idem_phase)p, (idem_event)e);
                printf("    %s --> %s: %s / %s\n", idem_phase_name((idem_phase)p), idem_phase_name(step.next),
                       idem_event_name((idem_event)e), idem_action_name(step.action));
            }
        }
    printf("    DONE --> [*]\n```\n\n");
}

static int print_pairs(int with_tests)
{
    int missing = 0;

    printf("| phase | event | next | action |%s\n|---|---|---|---|%s\n", with_tests ? " test |" : "",
           with_tests ? "---|" : "");
    for (int p = 0; p < IDEM_PHASES; p++)
        for (int e = 0; e < IDEM_EVENTS; e++) {
            idem_step step;

            if (!is_pair(p, e))
                continue;
            step = idem_lease_step((idem_phase)p, (idem_event)e);
            printf("| %s | %s | %s | %s |", idem_phase_name((idem_phase)p), idem_event_name((idem_event)e),
                   idem_phase_name(step.next), idem_action_name(step.action));
            if (with_tests)
                printf(" %s |", reached_by[p][e][0] ? reached_by[p][e] : "**none**");
            printf("\n");
            if (with_tests && !reached_by[p][e][0]) {
                fprintf(stderr, "lease_diagram: no test reaches %s %s\n", idem_phase_name((idem_phase)p),
                        idem_event_name((idem_event)e));
                missing++;
            }
        }
    return missing;
}

int main(int argc, char **argv)
{
    int good = 1;

    for (int i = 1; i < argc; i++)
        good &= read_tests(argv[i]);
    print_diagram();
    return print_pairs(argc > 1) || !good ? 1 : 0;
}
