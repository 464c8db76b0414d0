/* Wine 8 has no bcryptprimitives.dll, from which the standard library of Rust takes its random
 * numbers. Windows has had it since version 8. */
#include <windows.h>

/* RtlGenRandom, by the name that advapi32.dll gives it. */
BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG len);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE buffer, SIZE_T len) {
  return SystemFunction036(buffer, (ULONG)len);
}
