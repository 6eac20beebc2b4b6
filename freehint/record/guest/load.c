/* Loads on a guest's memory, linked statically.
 *
 *   load fill MIB             fill memory with random words, free it, end
 *   load hold MIB             fill memory with random words, and leave a child that holds it
 *   load frag MIB PCT PAGES   fill single pages, give back PCT % of the pieces of PAGES pages in
 *                             random order, and leave a child that holds the rest
 *   load dirty MIB RATE       fill memory, then change one word per page, RATE MiB of pages a second
 *   load churn LIVE RATE      map, fill and unmap pieces of 256 KiB to 16 MiB, RATE MiB a second,
 *                             with at most LIVE MiB mapped
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ul
#define MIB (1ul << 20)
#define PIECES 4096u /* more than LIVE / 256 KiB for every guest of up to 1 GiB of LIVE */

static uint64_t random_state = 0x9e3779b97f4a7c15ull;

/* xorshift64: Marsaglia, Journal of Statistical Software 8 (14), 2003 */
static uint64_t random_word(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void *map(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED) {
		perror("load: mmap");
		exit(1);
	}
	return memory;
}

static void fill(void *memory, size_t bytes)
{
	uint64_t *word = memory;

	for (size_t i = 0; i < bytes / sizeof *word; i++)
		word[i] = random_word();
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec * 1e-9;
}

/* Sleep until the bytes done since ``start`` do not exceed the rate. */
static void keep_rate(double start, double bytes, double mib_per_second)
{
	double ahead = bytes / MIB / mib_per_second - (seconds() - start);

	if (ahead > 0.002)
		usleep(ahead * 1e6);
}

/* Leave a child that holds the memory; the end of the workload's group is not its end. */
static int leave_child(void)
{
	if (fork() == 0) {
		setsid();
		close(0);
		close(1);
		close(2);
		pause();
	}
	return 0;
}

static int frag(size_t bytes, size_t percent, size_t piece)
{
	size_t n = bytes / piece;
	char *memory = map(bytes);
	uint32_t *order = malloc(n * sizeof *order);

	madvise(memory, bytes, MADV_NOHUGEPAGE);
	fill(memory, bytes);
	for (size_t i = 0; i < n; i++) { /* inside-out shuffle */
		size_t j = random_word() % (i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	for (size_t i = 0; i < n * percent / 100; i++)
		madvise(memory + order[i] * piece, piece, MADV_DONTNEED);
	return leave_child();
}

static void dirty(size_t bytes, double rate)
{
	char *memory = map(bytes);
	double start, done = 0;

	fill(memory, bytes);
	start = seconds();
	for (size_t at = 0;; at = (at + PAGE) % bytes) {
		*(uint64_t *)(memory + at) = random_word();
		done += PAGE;
		if (at % (64 * PAGE) == 0)
			keep_rate(start, done, rate);
	}
}

static void churn(size_t most, double rate)
{
	static struct { void *memory; size_t bytes; } pieces[PIECES];
	unsigned int newest = 0, oldest = 0;
	size_t live = 0;
	double start = seconds(), done = 0;

	for (;;) {
		size_t bytes = (64 + random_word() % (PIECES - 64)) * PAGE;
		void *memory = map(bytes);

		fill(memory, bytes);
		pieces[newest].memory = memory;
		pieces[newest].bytes = bytes;
		newest = (newest + 1) % PIECES;
		live += bytes;
		while (live > most || newest == oldest) {
			munmap(pieces[oldest].memory, pieces[oldest].bytes);
			live -= pieces[oldest].bytes;
			oldest = (oldest + 1) % PIECES;
		}
		done += bytes;
		keep_rate(start, done, rate);
	}
}

int main(int count, char **word)
{
	size_t bytes = count > 2 ? strtoul(word[2], NULL, 10) * MIB : 0;
	unsigned long number = count > 3 ? strtoul(word[3], NULL, 10) : 0;

	if (bytes && !strcmp(word[1], "fill")) {
		fill(map(bytes), bytes);
		return 0;
	}
	if (bytes && !strcmp(word[1], "hold")) {
		fill(map(bytes), bytes);
		return leave_child();
	}
	if (bytes && count > 4 && !strcmp(word[1], "frag"))
		return frag(bytes, number, strtoul(word[4], NULL, 10) * PAGE);
	if (bytes && number && !strcmp(word[1], "dirty"))
		dirty(bytes, number);
	if (bytes && number && !strcmp(word[1], "churn"))
		churn(bytes, number);
	fprintf(stderr, "load: fill MIB | hold MIB | frag MIB PCT PAGES | dirty MIB RATE | churn LIVE RATE\n");
	return 2;
}
