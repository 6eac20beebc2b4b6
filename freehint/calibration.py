"""What of the recorded migrations was calibrated, and on which rows; everything else is predicted.

Rows ``state=idle, hint=off`` of ``data/linux-6.1/migration/migrations.csv``, once: QEMU 10.0.2,
guest of 1 GiB, one CPU.
"""

# Mean of normal_pages over those rows, per init_on_alloc: 23,512 23,477 23,500 23,526 and
# 23,164 23,125.  Pages with content, and the idle kernel's pages sent again, which the model
# writes by itself (Program.background_pages).
IDLE_NORMAL_PAGES = {0: 23_504, 1: 23_144}

# Pages of QEMU's other RAM blocks (BIOS, option ROMs, ACPI tables): total_B of those rows less
# 1 GiB, 1,074,274,304 - 1,073,741,824 bytes.  All of them are counted as zero pages.
OTHER_RAM_PAGES = 130
