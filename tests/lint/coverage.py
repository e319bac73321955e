# SPDX-License-Identifier: Apache-2.0
"""coverage.py BUILD FOLDER FLOOR: what share of the lines of FOLDER's sources the programs built in BUILD have run, by
gcov.
"""
import glob
import re
import subprocess
import sys

import source

REPORT = re.compile(r"File '([^']+)'\nLines executed:([\d.]+)% of (\d+)")


def main():
    build, folder, floor = sys.argv[1], sys.argv[2], float(sys.argv[3])
    data = glob.glob(f"{build}/{folder}/*.gcda")
    printed = subprocess.run(["gcov", "-n", *data], check=True, capture_output=True, text=True).stdout if data else ""
    run = total = 0
    for path, share, lines in sorted(set(REPORT.findall(printed))):
        if path.startswith(folder) and path.endswith(".c"):
            print(f"{float(share):6.1f} % of {lines:>4}  {path}")
            run += float(share) * int(lines) / 100
            total += int(lines)
    share = 100 * run / total if total else 0
    low = [f"{folder}: {share:.1f} % of the lines were run, the floor is {floor} %"] if share < floor else []
    print(f"{share:6.1f} % of {total:>4}  {folder}")
    source.finish("coverage", low, total, "lines")


main()
