namespace ValueFlow.Tests.Values

open System
open System.Numerics
open ValueFlow.Tests

/// Numbers with 192 binary digits after the point: the judge of summaries that need exponentials.
module Precise =

    [<Literal>]
    let private Digits = 192

    let one = BigInteger.One <<< Digits
    let ofFloat (x: float) = if x = 0.0 then BigInteger.Zero else let r = Rational.OfFloat x in r.Scaled Digits
    let toFloat (x: BigInteger) = Rational.Create(x, one).ToFloat()
    let times (x: BigInteger) (y: BigInteger) = (x * y) >>> Digits
    let over (x: BigInteger) (y: BigInteger) = (x <<< Digits) / y

    /// exp x for x at most zero: halved eight times, a power series, squared eight times.
    let exp (x: BigInteger) =
        if x < ofFloat -130.0 then
            // Less than a unit of the last of these digits.
            BigInteger.Zero
        else
            let small = x >>> 8
            let mutable term, sum = one, one

            for n in 1..50 do
                term <- times term small / BigInteger n
                sum <- sum + term

            Seq.fold (fun y _ -> times y y) sum (seq { 1..8 })

    /// log y for y in (0, 1], by Newton's method from the float64 answer: the error is cubed at every step.
    let log (y: BigInteger) =
        let start = ofFloat (Math.Min(0.0, Math.Log(toFloat y)))

        Seq.fold
            (fun z _ ->
                let e = exp z
                z + (over ((y - e) <<< 1) (y + e)))
            start
            (seq { 1..3 })

    /// (1/k) log sum over i of p(i) exp(k x(i)), for k of either sign.
    let logSum (sharpness: float) (p: BigInteger[]) (x: BigInteger[]) =
        let k = ofFloat sharpness
        let exponents = x |> Array.map (times k)
        let largest = Array.max exponents
        let sum = Array.fold2 (fun sum p e -> sum + times p (exp (e - largest))) BigInteger.Zero p exponents
        over (largest + log (min sum one) + (if sum > one then sum - one else BigInteger.Zero)) k
