/*
 * Prints, as JSON, what Xen's own headers make of the protocol: every byte and every number here comes from
 * their structures and macros. The tests hold src/wire against it. Built and run by regenerate.sh.
 *
 * Bytes are hexadecimal; pages come without the zeros behind their last byte; u64 values are decimal
 * strings.
 */
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifndef __XEN_TOOLS__
#define __XEN_TOOLS__ 1 /* the latest interface version, with xen_mb() and its kin left to us */
#endif
#define xen_mb() __sync_synchronize()
#define xen_rmb() __sync_synchronize()
#define xen_wmb() __sync_synchronize()

#include <libxl.h> /* only for its list of sample formats: nothing of it is linked */
#include <xen/io/sndif.h>
#include <xen/io/xenbus.h>
#include <xen/io/xs_wire.h>

#define PAGE 4096
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- JSON ---- */

static int depth;
static const char *separator = "";

static void item(void)
{
    printf("%s\n%*s", separator, 2 * depth, "");
    separator = ",";
}

static void key(const char *name)
{
    item();
    printf("\"%s\": ", name);
}

static void open_with(char bracket)
{
    putchar(bracket);
    depth++;
    separator = "";
}

static void close_with(char bracket)
{
    depth--;
    printf("\n%*s%c", 2 * depth, "", bracket);
    separator = ",";
}

static void begin(const char *name)
{
    key(name);
    open_with('{');
}

static void end(void)
{
    close_with('}');
}

static void number(const char *name, long long value)
{
    key(name);
    printf("%lld", value);
}

static void big(const char *name, uint64_t value)
{
    key(name);
    printf("\"%llu\"", (unsigned long long)value);
}

static void string(const char *name, const char *value)
{
    assert(strpbrk(value, "\"\\") == NULL);
    key(name);
    printf("\"%s\"", value);
}

static void hex(const char *name, const void *bytes, size_t length)
{
    const uint8_t *byte = bytes;

    key(name);
    putchar('"');
    while (length-- > 0)
        printf("%02x", *byte++);
    putchar('"');
}

static void page_hex(const char *name, const uint8_t *page)
{
    size_t length = PAGE;

    while (length > 0 && page[length - 1] == 0)
        length--;
    hex(name, page, length);
}

#define NUMBER(constant) number(#constant, constant)
#define STRING(constant) string(#constant, constant)

/* ---- sizes and offsets ---- */

static void layout(void)
{
#define SIZE(type) number(#type, sizeof(struct type))
    begin("sizes");
    SIZE(xensnd_req);
    SIZE(xensnd_resp);
    SIZE(xensnd_evt);
    SIZE(xensnd_open_req);
    SIZE(xensnd_rw_req);
    SIZE(xensnd_trigger_req);
    SIZE(xensnd_query_hw_param);
    SIZE(xensnd_cur_pos_evt);
    SIZE(xensnd_event_page);
    SIZE(xensnd_page_directory);
    SIZE(xen_sndif_sring);
    SIZE(xsd_sockmsg);
    SIZE(xenstore_domain_interface);
    number("xen_sndif_sring_entry", sizeof(union xen_sndif_sring_entry));
    end();

#define OFFSET(type, field) number(#type "." #field, offsetof(struct type, field))
    begin("offsets");
    OFFSET(xensnd_req, id);
    OFFSET(xensnd_req, operation);
    OFFSET(xensnd_req, op);
    OFFSET(xensnd_req, op.open.pcm_rate);
    OFFSET(xensnd_req, op.open.pcm_format);
    OFFSET(xensnd_req, op.open.pcm_channels);
    OFFSET(xensnd_req, op.open.buffer_sz);
    OFFSET(xensnd_req, op.open.gref_directory);
    OFFSET(xensnd_req, op.open.period_sz);
    OFFSET(xensnd_req, op.rw.offset);
    OFFSET(xensnd_req, op.rw.length);
    OFFSET(xensnd_req, op.trigger.type);
    OFFSET(xensnd_req, op.hw_param.formats);
    OFFSET(xensnd_req, op.hw_param.rates);
    OFFSET(xensnd_req, op.hw_param.channels);
    OFFSET(xensnd_req, op.hw_param.buffer);
    OFFSET(xensnd_req, op.hw_param.period);
    OFFSET(xensnd_resp, id);
    OFFSET(xensnd_resp, operation);
    OFFSET(xensnd_resp, status);
    OFFSET(xensnd_resp, resp);
    OFFSET(xensnd_evt, id);
    OFFSET(xensnd_evt, type);
    OFFSET(xensnd_evt, op);
    OFFSET(xensnd_event_page, in_cons);
    OFFSET(xensnd_event_page, in_prod);
    OFFSET(xensnd_page_directory, gref_dir_next_page);
    OFFSET(xensnd_page_directory, gref);
    OFFSET(xen_sndif_sring, req_prod);
    OFFSET(xen_sndif_sring, req_event);
    OFFSET(xen_sndif_sring, rsp_prod);
    OFFSET(xen_sndif_sring, rsp_event);
    OFFSET(xen_sndif_sring, ring);
    OFFSET(xsd_sockmsg, type);
    OFFSET(xsd_sockmsg, req_id);
    OFFSET(xsd_sockmsg, tx_id);
    OFFSET(xsd_sockmsg, len);
    end();
}

/* ---- numbers and names ---- */

static void format(const char *name, int code, const char *str, int libxl)
{
    begin(name);
    number("code", code);
    string("str", str);
    number("libxl", libxl);
    end();
}

static void constants(void)
{
    begin("constants");
    NUMBER(XENSND_PROTOCOL_VERSION);
    NUMBER(XENSND_EVT_CUR_POS);
    NUMBER(XENSND_EVENT_PAGE_SIZE);
    NUMBER(XENSND_IN_RING_OFFS);
    NUMBER(XENSND_IN_RING_SIZE);
    NUMBER(XENSND_IN_RING_LEN);
    NUMBER(XENSND_SAMPLE_RATE_MAX_LEN);
    NUMBER(XENSND_SAMPLE_FORMAT_MAX_LEN);
    NUMBER(XENSTORE_PAYLOAD_MAX);
    NUMBER(XENSTORE_ABS_PATH_MAX);
    NUMBER(XENSTORE_REL_PATH_MAX);
    NUMBER(XENSTORE_RING_SIZE);
    NUMBER(XS_TYPE_COUNT);
    NUMBER(XS_INVALID);
    NUMBER(XS_WATCH_PATH);
    NUMBER(XS_WATCH_TOKEN);
    number("__CONST_RING_SIZE", __CONST_RING_SIZE(xen_sndif, PAGE));
    number("grefs in a directory page",
           (PAGE - offsetof(struct xensnd_page_directory, gref)) / sizeof(grant_ref_t));
    end();

    begin("strings");
    STRING(XENSND_DRIVER_NAME);
    STRING(XENSND_LIST_SEPARATOR);
    STRING(XENSND_STREAM_TYPE_PLAYBACK);
    STRING(XENSND_STREAM_TYPE_CAPTURE);
    STRING(XS_WRITE_NONE);
    STRING(XS_WRITE_CREATE);
    STRING(XS_WRITE_CREATE_EXCL);
    end();

#define OP(name) number(#name, XENSND_OP_##name)
    begin("operations");
    OP(OPEN);
    OP(CLOSE);
    OP(READ);
    OP(WRITE);
    OP(SET_VOLUME);
    OP(GET_VOLUME);
    OP(MUTE);
    OP(UNMUTE);
    OP(TRIGGER);
    OP(HW_PARAM_QUERY);
    end();

    begin("triggers");
    OP(TRIGGER_START);
    OP(TRIGGER_PAUSE);
    OP(TRIGGER_STOP);
    OP(TRIGGER_RESUME);
    end();

#define FIELD(name) string(#name, XENSND_FIELD_##name)
    begin("fields");
    FIELD(BE_VERSIONS);
    FIELD(FE_VERSION);
    FIELD(VCARD_SHORT_NAME);
    FIELD(VCARD_LONG_NAME);
    FIELD(RING_REF);
    FIELD(EVT_CHNL);
    FIELD(EVT_RING_REF);
    FIELD(EVT_EVT_CHNL);
    FIELD(DEVICE_NAME);
    FIELD(TYPE);
    FIELD(STREAM_UNIQUE_ID);
    FIELD(CHANNELS_MIN);
    FIELD(CHANNELS_MAX);
    FIELD(SAMPLE_RATES);
    FIELD(SAMPLE_FORMATS);
    FIELD(BUFFER_SIZE);
    end();

#define FORMAT(name) format(#name, XENSND_PCM_FORMAT_##name, XENSND_PCM_FORMAT_##name##_STR, \
                            LIBXL_VSND_PCM_FORMAT_##name)
    begin("formats");
    FORMAT(S8);
    FORMAT(U8);
    FORMAT(S16_LE);
    FORMAT(S16_BE);
    FORMAT(U16_LE);
    FORMAT(U16_BE);
    FORMAT(S24_LE);
    FORMAT(S24_BE);
    FORMAT(U24_LE);
    FORMAT(U24_BE);
    FORMAT(S32_LE);
    FORMAT(S32_BE);
    FORMAT(U32_LE);
    FORMAT(U32_BE);
    FORMAT(F32_LE);
    FORMAT(F32_BE);
    FORMAT(F64_LE);
    FORMAT(F64_BE);
    FORMAT(IEC958_SUBFRAME_LE);
    FORMAT(IEC958_SUBFRAME_BE);
    FORMAT(MU_LAW);
    FORMAT(A_LAW);
    FORMAT(IMA_ADPCM);
    FORMAT(MPEG);
    FORMAT(GSM);
    end();

#define STATE(name) number(#name, XenbusState##name)
    begin("xenbusStates");
    STATE(Unknown);
    STATE(Initialising);
    STATE(InitWait);
    STATE(Initialised);
    STATE(Connected);
    STATE(Closing);
    STATE(Closed);
    STATE(Reconfiguring);
    STATE(Reconfigured);
    end();
}

static void errors(void)
{
#define XEN_ERRNO(name, value) number(#name, value);
    begin("errno");
#include <xen/errno.h>
    end();

    /* The same with the hypervisor's internal names, which the header shows to itself only. */
#define XEN_ERRNO(name, value) number(#name, value);
#define __XEN__ 1
    begin("errnoWithInternal");
#include <xen/errno.h>
    end();
#undef __XEN__

    /* xen/errno.h lacks these, but a Linux backend passes on what its sound library returns. */
    begin("errnoOfLinuxSound");
    NUMBER(EPIPE);
    NUMBER(EBADFD);
    NUMBER(ESTRPIPE);
    end();

    begin("xsdErrors");
    for (size_t i = 0; i < COUNT(xsd_errors); i++)
        number(xsd_errors[i].errstring, xsd_errors[i].errnum);
    end();
}

/* ---- requests, responses, events ---- */

#define U32(name, value) number(name, (uint32_t)(value))

static struct xensnd_req request(uint16_t id, uint8_t operation)
{
    struct xensnd_req req;

    memset(&req, 0, sizeof(req));
    req.id = id;
    req.operation = operation;
    return req;
}

static void begin_request(const char *name, const struct xensnd_req *req)
{
    begin(name);
    number("id", req->id);
    number("operation", req->operation);
}

static void end_request(const struct xensnd_req *req)
{
    hex("bytes", req, sizeof(*req));
    end();
}

static void rw_request(const char *name, uint16_t id, uint8_t operation, uint32_t offset, uint32_t length)
{
    struct xensnd_req req = request(id, operation);

    req.op.rw.offset = offset;
    req.op.rw.length = length;
    begin_request(name, &req);
    U32("offset", req.op.rw.offset);
    U32("length", req.op.rw.length);
    end_request(&req);
}

static void trigger_request(const char *name, uint16_t id, uint8_t type)
{
    struct xensnd_req req = request(id, XENSND_OP_TRIGGER);

    req.op.trigger.type = type;
    begin_request(name, &req);
    number("type", req.op.trigger.type);
    end_request(&req);
}

static struct xensnd_query_hw_param hw_param(void)
{
    struct xensnd_query_hw_param ranges;

    memset(&ranges, 0, sizeof(ranges));
    ranges.formats = 0x1122334455667788ULL | 1ULL << XENSND_PCM_FORMAT_GSM;
    ranges.rates.min = 0x11223344;
    ranges.rates.max = 0x55667788;
    ranges.channels.min = 0x99aabbcc;
    ranges.channels.max = 0xddeeff01;
    ranges.buffer.min = 0x02030405;
    ranges.buffer.max = 0x06070809;
    ranges.period.min = 0xfffefdfc;
    ranges.period.max = 0xffffffff;
    return ranges;
}

static void print_hw_param(const struct xensnd_query_hw_param *ranges)
{
    big("formats", ranges->formats);
    U32("rates.min", ranges->rates.min);
    U32("rates.max", ranges->rates.max);
    U32("channels.min", ranges->channels.min);
    U32("channels.max", ranges->channels.max);
    U32("buffer.min", ranges->buffer.min);
    U32("buffer.max", ranges->buffer.max);
    U32("period.min", ranges->period.min);
    U32("period.max", ranges->period.max);
}

static void requests(void)
{
    struct xensnd_req req;

    begin("requests");
    req = request(0x0102, XENSND_OP_OPEN);
    req.op.open.pcm_rate = 0x11223344;
    req.op.open.pcm_format = XENSND_PCM_FORMAT_U32_BE;
    req.op.open.pcm_channels = 0xfe;
    req.op.open.buffer_sz = 0x55667788;
    req.op.open.gref_directory = 0x99aabbcc;
    req.op.open.period_sz = 0xddeeff01;
    begin_request("OPEN", &req);
    U32("pcm_rate", req.op.open.pcm_rate);
    number("pcm_format", req.op.open.pcm_format);
    number("pcm_channels", req.op.open.pcm_channels);
    U32("buffer_sz", req.op.open.buffer_sz);
    U32("gref_directory", req.op.open.gref_directory);
    U32("period_sz", req.op.open.period_sz);
    end_request(&req);

    req = request(0xffff, XENSND_OP_CLOSE);
    begin_request("CLOSE", &req);
    end_request(&req);

    rw_request("READ", 0x0304, XENSND_OP_READ, 0x11223344, 0x55667788);
    rw_request("WRITE", 0x0506, XENSND_OP_WRITE, 0xffffffc0, 0x00000040);
    rw_request("SET_VOLUME", 0x0708, XENSND_OP_SET_VOLUME, 0x01020304, 8);
    rw_request("GET_VOLUME", 0x090a, XENSND_OP_GET_VOLUME, 0x05060708, 16);
    rw_request("MUTE", 0x0b0c, XENSND_OP_MUTE, 0x090a0b0c, 2);
    rw_request("UNMUTE", 0x0d0e, XENSND_OP_UNMUTE, 0x0d0e0f10, 0xffffffff);

    trigger_request("TRIGGER_START", 0x1001, XENSND_OP_TRIGGER_START);
    trigger_request("TRIGGER_PAUSE", 0x1002, XENSND_OP_TRIGGER_PAUSE);
    trigger_request("TRIGGER_STOP", 0x1003, XENSND_OP_TRIGGER_STOP);
    trigger_request("TRIGGER_RESUME", 0x1004, XENSND_OP_TRIGGER_RESUME);

    req = request(0x1112, XENSND_OP_HW_PARAM_QUERY);
    req.op.hw_param = hw_param();
    begin_request("HW_PARAM_QUERY", &req);
    print_hw_param(&req.op.hw_param);
    end_request(&req);
    end();
}

static void response(const char *name, uint16_t id, uint8_t operation, int32_t status, bool with_hw_param)
{
    struct xensnd_resp resp;

    memset(&resp, 0, sizeof(resp));
    resp.id = id;
    resp.operation = operation;
    resp.status = status;
    begin(name);
    number("id", resp.id);
    number("operation", resp.operation);
    number("status", resp.status);
    if (with_hw_param) {
        resp.resp.hw_param = hw_param();
        print_hw_param(&resp.resp.hw_param);
    }
    hex("bytes", &resp, sizeof(resp));
    end();
}

static void responses(void)
{
    enum {
#define XEN_ERRNO(name, value) XEN_##name = value,
#include <xen/errno.h>
    };

    begin("responses");
    response("ok", 0x0102, XENSND_OP_WRITE, 0, false);
    response("invalid", 0xfffe, XENSND_OP_SET_VOLUME, -XEN_EINVAL, false);
    response("timed out", 0x8000, XENSND_OP_READ, -XEN_ETIMEDOUT, false);
    response("lowest status", 0x7fff, XENSND_OP_TRIGGER, INT32_MIN, false);
    response("hw param", 0x1112, XENSND_OP_HW_PARAM_QUERY, 0, true);
    response("hw param refused", 0x1113, XENSND_OP_HW_PARAM_QUERY, -XEN_EINVAL, false);
    end();
}

static struct xensnd_evt cur_pos(uint16_t id, uint64_t position)
{
    struct xensnd_evt evt;

    memset(&evt, 0, sizeof(evt));
    evt.id = id;
    evt.type = XENSND_EVT_CUR_POS;
    evt.op.cur_pos.position = position;
    return evt;
}

static void events(void)
{
    static const uint64_t positions[] = {
        0, 1, 0x11223344, 0x1122334455667788ULL, (1ULL << 53) + 1, UINT64_MAX,
    };

    key("events");
    open_with('[');
    for (size_t i = 0; i < COUNT(positions); i++) {
        struct xensnd_evt evt = cur_pos(0x0102 + 0x1fff * i, positions[i]);

        item();
        open_with('{');
        number("id", evt.id);
        number("type", evt.type);
        big("position", evt.op.cur_pos.position);
        hex("bytes", &evt, sizeof(evt));
        end();
    }
    close_with(']');
}

/* ---- page directory ---- */

static void directory(const char *name, unsigned int grefs)
{
    const unsigned int per_page =
        (PAGE - offsetof(struct xensnd_page_directory, gref)) / sizeof(grant_ref_t);
    const unsigned int pages = (grefs + per_page - 1) / per_page;
    const grant_ref_t first_gref = 0x11223344, first_page = 0xa0b0c0d0;

    begin(name);
    number("count", grefs);
    U32("first gref", first_gref); /* and upwards by one */
    U32("first directory gref", first_page); /* and upwards by one */
    key("pages");
    open_with('[');
    for (unsigned int page = 0; page < pages; page++) {
        static union {
            struct xensnd_page_directory directory;
            uint8_t bytes[PAGE];
        } shared;
        grant_ref_t *gref = (grant_ref_t *)(shared.bytes + offsetof(struct xensnd_page_directory, gref));

        memset(&shared, 0, sizeof(shared));
        shared.directory.gref_dir_next_page = page + 1 < pages ? first_page + page + 1 : 0;
        for (unsigned int i = 0; i < per_page && page * per_page + i < grefs; i++)
            gref[i] = first_gref + page * per_page + i;
        item();
        open_with('{');
        U32("next", shared.directory.gref_dir_next_page);
        page_hex("bytes", shared.bytes);
        end();
    }
    close_with(']');
    end();
}

static void directories(void)
{
    begin("directories");
    directory("1", 1);
    directory("1023", 1023);
    directory("1024", 1024);
    directory("2500", 2500);
    end();
}

/* ---- request ring ---- */

static union {
    xen_sndif_sring_t ring;
    uint8_t bytes[PAGE];
} ring_page;
static xen_sndif_front_ring_t front;
static xen_sndif_back_ring_t back;
static uint16_t next_id, taken_id[32];

static void attach(RING_IDX start)
{
    memset(&ring_page, 0, sizeof(ring_page));
    SHARED_RING_INIT(&ring_page.ring);
    ring_page.ring.req_prod = ring_page.ring.rsp_prod = start;
    ring_page.ring.req_event = ring_page.ring.rsp_event = start + 1;
    FRONT_RING_ATTACH(&front, &ring_page.ring, start, PAGE);
    BACK_RING_ATTACH(&back, &ring_page.ring, start, PAGE);
    next_id = 0xfff0; /* wraps as well */
    assert(RING_SIZE(&front) == COUNT(taken_id) && RING_SIZE(&back) == COUNT(taken_id));
}

/* One step: the operation, its argument or result, the four indexes behind it, the free requests. */
static void step(const char *operation, int value)
{
    const xen_sndif_sring_t *sring = &ring_page.ring;

    item();
    printf("[\"%s\", %d, %u, %u, %u, %u, %u]", operation, value, sring->req_prod, sring->req_event,
           sring->rsp_prod, sring->rsp_event, RING_FREE_REQUESTS(&front));
}

static bool possible(char operation)
{
    return operation == 'q'   ? !RING_FULL(&front)
           : operation == 's' ? back.rsp_prod_pvt != back.req_cons
                              : true;
}

static void perform(char operation)
{
    struct xensnd_req req;
    struct xensnd_resp resp;
    uint16_t id;
    int result;

    assert(possible(operation));
    switch (operation) {
    case 'q':
        id = next_id++;
        req = request(id, XENSND_OP_WRITE);
        req.op.rw.offset = id * 0x01010101U;
        req.op.rw.length = ~(uint32_t)id;
        *RING_GET_REQUEST(&front, front.req_prod_pvt) = req;
        front.req_prod_pvt++;
        step("front.put", id);
        break;
    case 'Q':
        RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&front, result);
        step("front.publish", result);
        break;
    case 'g':
        result = -1;
        if (RING_HAS_UNCONSUMED_REQUESTS(&back)) {
            assert(!RING_REQUEST_CONS_OVERFLOW(&back, back.req_cons));
            RING_COPY_REQUEST(&back, back.req_cons, &req);
            result = taken_id[back.req_cons % COUNT(taken_id)] = req.id;
            back.req_cons++;
        }
        step("back.take", result);
        break;
    case 'G':
        RING_FINAL_CHECK_FOR_REQUESTS(&back, result);
        step("back.rearm", result != 0);
        break;
    case 's':
        memset(&resp, 0, sizeof(resp));
        resp.id = id = taken_id[back.rsp_prod_pvt % COUNT(taken_id)];
        resp.operation = XENSND_OP_WRITE;
        resp.status = -(int)(id & 0xff);
        *RING_GET_RESPONSE(&back, back.rsp_prod_pvt) = resp;
        back.rsp_prod_pvt++;
        step("back.put", id);
        break;
    case 'S':
        RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(&back, result);
        step("back.publish", result);
        break;
    case 't':
        result = -1;
        if (RING_HAS_UNCONSUMED_RESPONSES(&front)) {
            RING_COPY_RESPONSE(&front, front.rsp_cons, &resp);
            result = resp.id;
            front.rsp_cons++;
        }
        step("front.take", result);
        break;
    case 'T':
        RING_FINAL_CHECK_FOR_RESPONSES(&front, result);
        step("front.rearm", result != 0);
        break;
    default:
        assert(!"an operation");
    }
}

static void begin_script(const char *name, RING_IDX start)
{
    attach(start);
    begin(name);
    number("start", start);
    page_hex("fresh", ring_page.bytes);
    key("steps");
    open_with('[');
}

static void end_script(void)
{
    close_with(']');
    page_hex("page", ring_page.bytes);
    end();
}

/* `program`: operations, each with a count before it where it is not 1; spaces are for the reader. */
static void script(const char *name, RING_IDX start, const char *program)
{
    int times = 0;

    begin_script(name, start);
    for (; *program != '\0'; program++) {
        if (*program >= '0' && *program <= '9') {
            times = 10 * times + *program - '0';
        } else if (*program != ' ') {
            for (times = times > 0 ? times : 1; times > 0; times--)
                perform(*program);
        }
    }
    end_script();
}

/* Any order of operations, the same one each time (a 32-bit xorshift). */
static void random_script(const char *name, RING_IDX start, uint32_t state, int steps)
{
    begin_script(name, start);
    while (steps > 0) {
        char operation;

        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        operation = "qqqqqQQggggGssssSSttttT"[state % 23];
        if (!possible(operation))
            continue;
        perform(operation);
        steps--;
    }
    end_script();
}

/* What the overflow macros say of an index `ahead` of its consumer: [start, ahead, requests, responses]. */
static void overflows(void)
{
    static const RING_IDX starts[] = { 0, 1, 0x7ffffff0, 0xfffffff0, 0xffffffff };
    static const RING_IDX distances[] = {
        0, 1, 31, 32, 33, 64, 0x7fffffff, 0x80000000, 0xffffffe0, 0xffffffff,
    };

    key("overflows");
    open_with('[');
    for (size_t i = 0; i < COUNT(starts); i++) {
        attach(starts[i]);
        for (size_t j = 0; j < COUNT(distances); j++) {
            RING_IDX producer = starts[i] + distances[j];

            item();
            printf("[%u, %u, %d, %d]", starts[i], distances[j], RING_REQUEST_PROD_OVERFLOW(&back, producer),
                   RING_RESPONSE_PROD_OVERFLOW(&front, producer));
        }
    }
    close_with(']');
}

static void rings(void)
{
    begin("rings");
    script("one request, one response", 0, "qQG gGsSTtT");
    script("a batch is one notification", 0, "5qQ 5gG 5sS 5tT 3qQ");
    script("no notification before the other end asks again", 0,
           "qQ qQ 2g qQ gG qQ gG s S s S 2t s S 2t T s");
    script("rearmed with work to do", 0, "qQ G g G qQ G gG sS T t T sS T tT");
    script("a full ring", 0, "32qQ 32gG 32sS 32tT 32qQ");
    script("publishing nothing", 7, "Q S qQ Q g S sS S t Q S");
    script("wraps within a batch", 0xfffffffd, "6qQ 6gG 6sS 6tT 6qQ 6gG 6sS 6tT");
    script("event index at the wrap", 0xffffffff, "qQ gG sS tT qQ gG sS tT");
    script("full at the wrap", 0xfffffff0, "32qQ 16g 8sS 8t 8qQ 24gG 32sS 32tT qQ gG sS tT");
    script("published singly across the wrap", 0xfffffffe, "qQqQqQqQ 4gG sSsSsSsS 4tT qQ gG sS");
    random_script("random from 0", 0, 0x12345678, 160);
    random_script("random from 2^31 - 5", 0x7ffffffb, 0x9abcdef1, 160);
    random_script("random from 2^32 - 20", 0xffffffec, 0x2468ace1, 240);
    random_script("random from 2^32 - 1", 0xffffffff, 0x13579bdf, 160);
    end();
    overflows();
}

/* ---- event page ---- */

static void event_script(const char *name, uint32_t start, const char *program)
{
    static union {
        struct xensnd_event_page page;
        uint8_t bytes[XENSND_EVENT_PAGE_SIZE];
    } shared;
    uint16_t id = 0xfffe; /* wraps as well */

    memset(&shared, 0, sizeof(shared));
    shared.page.in_cons = shared.page.in_prod = start;
    begin(name);
    number("start", start);
    string("program", program);
    for (; *program != '\0'; program++) {
        if (*program == 'p') {
            XENSND_IN_RING_REF(shared.bytes, shared.page.in_prod) = cur_pos(id, id * 0x100000001ULL);
            id++;
            xen_wmb();
            shared.page.in_prod++;
        } else {
            shared.page.in_cons++;
        }
    }
    U32("in_cons", shared.page.in_cons);
    U32("in_prod", shared.page.in_prod);
    page_hex("page", shared.bytes);
    end();
}

static void event_pages(void)
{
    static const uint32_t indexes[] = {
        0, 1, 62, 63, 64, 125, 126, 0x7fffffff, 0x80000000, 0xffffffbf,
        0xfffffffc, 0xfffffffd, 0xfffffffe, 0xffffffff,
    };
    static uint8_t bytes[XENSND_EVENT_PAGE_SIZE];

    key("eventSlots"); /* [index, bytes from the start of the page] */
    open_with('[');
    for (size_t i = 0; i < COUNT(indexes); i++) {
        const uint8_t *slot = (const uint8_t *)&XENSND_IN_RING_REF(bytes, indexes[i]);

        item();
        printf("[%u, %td]", indexes[i], slot - bytes);
    }
    close_with(']');

    /* p: produce, c: consume */
    begin("eventPages");
    event_script("three of four", 0, "ppppccc");
    event_script("across the last slot", 60, "pcpcpcpcpcpp");
    event_script("across 2^31", 0x7ffffffe, "pppcpcp");
    event_script("across 2^32", 0xfffffffd, "pppccpcp");
    event_script("last index", 0xffffffff, "pcpcp");
    end();
}

/* ---- XenStore ---- */

static void message(const char *name, uint32_t type, const char *payload, size_t length)
{
    static uint32_t req_id = 0x11223344, tx_id = 0x99aabbcc;
    uint8_t bytes[sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX];
    struct xsd_sockmsg header = { .type = type, .req_id = req_id++, .tx_id = tx_id++, .len = length };

    memcpy(bytes, &header, sizeof(header));
    memcpy(bytes + sizeof(header), payload, length);
    begin(name);
    number("type", header.type);
    U32("req_id", header.req_id);
    U32("tx_id", header.tx_id);
    number("len", header.len);
    hex("payload", payload, length);
    hex("bytes", bytes, sizeof(header) + length);
    end();
}

/* `strings`: a literal; its own last NUL is not part of the payload. */
#define MESSAGE(type, strings) message(#type, XS_##type, strings, sizeof(strings) - 1)

static void messages(void)
{
    static char most[XENSTORE_PAYLOAD_MAX];

    begin("messages");
    MESSAGE(CONTROL, "print\0" "hello\0");
    MESSAGE(DIRECTORY, "device/vsnd\0");
    MESSAGE(READ, "/local/domain/7/device/vsnd/0/state\0");
    MESSAGE(GET_PERMS, "/local/domain/7\0");
    MESSAGE(WATCH, "@releaseDomain\0" "token 1\0");
    MESSAGE(UNWATCH, "@releaseDomain\0" "token 1\0");
    MESSAGE(TRANSACTION_START, "\0");
    MESSAGE(TRANSACTION_END, "T\0");
    MESSAGE(INTRODUCE, "7\0" "4660\0" "3\0");
    MESSAGE(RELEASE, "7\0");
    MESSAGE(GET_DOMAIN_PATH, "7\0");
    MESSAGE(WRITE, "device/vsnd/0/state\0" "3");
    MESSAGE(MKDIR, "device/vsnd/0\0");
    MESSAGE(RM, "device/vsnd/0\0");
    MESSAGE(SET_PERMS, "device/vsnd/0\0" "n7\0" "r0\0" "b65535\0");
    MESSAGE(WATCH_EVENT, "backend/vsnd/7/0/state\0" "token 2\0");
    MESSAGE(ERROR, "ENOENT\0");
    MESSAGE(IS_DOMAIN_INTRODUCED, "T\0");
    MESSAGE(RESUME, "7\0");
    MESSAGE(SET_TARGET, "7\0" "8\0");
    MESSAGE(RESET_WATCHES, "\0");
    MESSAGE(DIRECTORY_PART, "device/vsnd\0" "0\0");
    message("the longest", XS_READ, memset(most, 'x', sizeof(most)), sizeof(most));
    message("an empty one", XS_WRITE, most, 0);
    end();
}

int main(void)
{
    open_with('{');
    layout();
    constants();
    errors();
    requests();
    responses();
    events();
    directories();
    rings();
    event_pages();
    messages();
    end();
    putchar('\n');
    return 0;
}
