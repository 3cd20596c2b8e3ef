/* 10,000 members, page by page, also while a writer commits. */
#include <pthread.h>

#include "tests/unit/api/api_fixture.h"

enum { MANY = 10000, PAGE = 1000, READERS = 4, COMMITS = 15 };

static struct member_record many_member(uint32_t i)
{
    char text[32];
    snprintf(text, sizeof(text), "10.%u.%u.%u", 100 + i / 65536, i / 256 % 256, i % 256);
    struct member_record m = fixture_member(9, text, 0x0a);
    if (i % 5 == 4) {
        snprintf(text, sizeof(text), "gm%05u.example.net", i);
        assert_ok(identity_from_text(&m.identity, ID_FQDN, text));
    }
    m.rekeys_sent = 0; /* the generation that a commit wrote, see writer() */
    return m;
}

static void write_many(struct store *store, uint32_t generation, uint64_t index)
{
    struct store_txn *txn;
    assert_ok(store_begin_write(store, &txn));
    for (uint32_t i = 0; i < MANY; i++) {
        struct member_record m = many_member(i);
        m.rekeys_sent = generation;
        put_member(txn, &m);
    }
    store_set_applied(txn, index, 2);
    assert_ok(store_commit(txn));
}

static int setup_many(void **state)
{
    struct fixture *f = malloc(sizeof(*f));
    fixture_open(f);
    write_many(f->store, 0, 100);
    fixture_serve(f);
    *state = f;
    return 0;
}

static const char group_path[] = "/v1/groups/vpn%202%2F%C3%A9";

/* One page; *next is set to the query of the one after it, or empty. */
static struct answer page(const struct fixture *f, char next[1024])
{
    char target[2048];
    snprintf(target, sizeof(target), "%s/members?limit=%d%s", group_path, PAGE, next);
    struct answer a = get(f, target);
    const char *cursor = json_string_value(json_object_get(a.json, "next"));
    snprintf(next, 1024, "%s%s", cursor != NULL ? "&cursor=" : "", cursor != NULL ? cursor : "");
    return a;
}

static void every_member_comes_once_and_in_order(void **state)
{
    struct fixture *f = *state;
    char next[1024] = "";
    size_t seen = 0, pages = 0, i;
    json_t *all = json_object(), *member;
    do {
        struct answer a = page(f, next);
        assert_int_equal(a.status, 200);
        json_array_foreach(at(&a, "members"), i, member)
        {
            const char *identity = json_string_value(json_object_get(member, "identity"));
            assert_null(json_object_get(all, identity));
            json_object_set_new(all, identity, json_true());
            seen++;
        }
        pages++;
        answer_close(&a);
    } while (next[0] != '\0');
    assert_int_equal(seen, MANY);
    assert_int_equal(pages, MANY / PAGE); /* the last one is full and says that it is the last */
    assert_non_null(json_object_get(all, "gm00004.example.net"));
    assert_non_null(json_object_get(all, "10.100.39.14"));
    json_decref(all);
}

static void the_default_page_is_small(void **state)
{
    char target[128];
    snprintf(target, sizeof(target), "%s/members", group_path);
    struct answer a = get(*state, target);
    assert_int_equal(json_array_size(at(&a, "members")), 100);
    assert_true(json_is_string(at(&a, "next")));
    answer_close(&a);
    snprintf(target, sizeof(target), "%s/members?limit=1", group_path);
    a = get(*state, target);
    assert_int_equal(json_array_size(at(&a, "members")), 1);
    assert_at_text(&a, "members.0.identity", "10.100.0.0");
    answer_close(&a);
}

static void a_cursor_behind_the_end_gives_an_empty_page(void **state)
{
    char target[1024];
    snprintf(target, sizeof(target), "%s/members?cursor=ffff", group_path);
    struct answer a = get(*state, target);
    assert_int_equal(a.status, 200);
    assert_int_equal(json_array_size(at(&a, "members")), 0);
    assert_at_null(&a, "next");
    answer_close(&a);
    /* The longest that fits, and one octet more. */
    int len = snprintf(target, sizeof(target), "%s/members?cursor=", group_path);
    size_t digits = 2 * (ROW_KEY_MAX - (size_t)group_row_key(0).len);
    memset(target + len, 'f', digits);
    target[(size_t)len + digits] = '\0';
    a = get(*state, target);
    assert_int_equal(a.status, 200);
    answer_close(&a);
    strcat(target, "ff");
    a = get(*state, target);
    assert_problem(&a, 400, "bad-request");
    answer_close(&a);
}

static void all_are_counted_and_found_soon_enough(void **state)
{
    char target[128];
    uint64_t start = test_now_ms();
    struct answer a = get(*state, group_path);
    assert_at_number(&a, "member_count", MANY);
    answer_close(&a);
    snprintf(target, sizeof(target), "%s/members/gm09999.example.net", group_path);
    a = get(*state, target);
    assert_int_equal(a.status, 200);
    answer_close(&a);
    uint64_t took = test_now_ms() - start;
    printf("count and search by name over %d members: %llu ms\n", MANY, (unsigned long long)took);
    assert_true(took < 2000);
}

/* Each commit writes all members anew with one number: no page may ever show two of them. */
struct race {
    const struct fixture *f;
    bool ends;
    unsigned pages;
    unsigned mixed;
    unsigned bad;
    unsigned backwards;
};

static void *read_pages(void *context)
{
    struct race *race = context;
    char next[1024] = "", header[32];
    unsigned long long last = 0;
    while (!__atomic_load_n(&race->ends, __ATOMIC_ACQUIRE)) {
        struct answer a = page(race->f, next);
        size_t i;
        json_t *member, *first = NULL;
        if (a.status != 200 || json_array_size(json_object_get(a.json, "members")) != PAGE)
            race->bad++;
        json_array_foreach(json_object_get(a.json, "members"), i, member)
        {
            json_t *sent = json_object_get(member, "rekeys_sent");
            first = i == 0 ? sent : first;
            if (!json_equal(first, sent))
                race->mixed++;
        }
        unsigned long long index =
            strtoull(header_of(&a, "X-Applied-Index", header, sizeof(header)), NULL, 10);
        if (index < last || (unsigned long long)json_integer_value(first) + 100 != index)
            race->backwards++;
        last = index;
        race->pages++;
        answer_close(&a);
    }
    return NULL;
}

static void readers_see_whole_commits_while_a_writer_goes_on(void **state)
{
    struct fixture *f = *state;
    struct race races[READERS];
    pthread_t threads[READERS];
    for (size_t i = 0; i < READERS; i++) {
        races[i] = (struct race){.f = f};
        assert_int_equal(pthread_create(&threads[i], NULL, read_pages, &races[i]), 0);
    }
    for (uint32_t n = 1; n <= COMMITS; n++)
        write_many(f->store, n, 100 + n);
    unsigned pages = 0;
    for (size_t i = 0; i < READERS; i++) {
        __atomic_store_n(&races[i].ends, true, __ATOMIC_RELEASE);
        pthread_join(threads[i], NULL);
        assert_int_equal(races[i].bad, 0);
        assert_int_equal(races[i].mixed, 0);
        assert_int_equal(races[i].backwards, 0);
        pages += races[i].pages;
    }
    printf("%u pages of %d members during %d commits\n", pages, PAGE, COMMITS);
    assert_true(pages >= READERS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_many, teardown_server)
    const struct CMUnitTest tests[] = {
        TEST(every_member_comes_once_and_in_order),
        TEST(the_default_page_is_small),
        TEST(a_cursor_behind_the_end_gives_an_empty_page),
        TEST(all_are_counted_and_found_soon_enough),
        TEST(readers_see_whole_commits_while_a_writer_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
