/* Microsoft's header of this name, as far as ring reads it. */
unsigned long _byteswap_ulong(unsigned long);
unsigned __int64 _byteswap_uint64(unsigned __int64);
