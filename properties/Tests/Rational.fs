namespace ValueFlow.Tests

open System
open System.Numerics

/// An exact fraction: every finite float64 is one.
[<CustomEquality; CustomComparison>]
type Rational =
    private
        {
            Top: BigInteger
            Bottom: BigInteger
        }

    static member Create(top: BigInteger, bottom: BigInteger) =
        if bottom.IsZero then
            raise (DivideByZeroException())

        let divisor = BigInteger.GreatestCommonDivisor(top, bottom) * BigInteger(bottom.Sign)

        { Top = top / divisor; Bottom = bottom / divisor }

    static member OfInt(n: int) = { Top = BigInteger n; Bottom = BigInteger.One }

    /// Exactly the number.
    static member OfFloat(x: float) =
        if not (Double.IsFinite x) then
            invalidArg (nameof x) $"must be finite but is {x}"

        let bits = BitConverter.DoubleToInt64Bits x
        let exponent = int ((bits >>> 52) &&& 0x7FFL)
        let fraction = bits &&& 0xFFFFFFFFFFFFFL
        let mantissa = if exponent = 0 then fraction else fraction ||| 0x10000000000000L
        let shift = (if exponent = 0 then 1 else exponent) - 1075
        let signed = BigInteger(if bits < 0L then -mantissa else mantissa)

        if shift >= 0 then
            Rational.Create(signed <<< shift, BigInteger.One)
        else
            Rational.Create(signed, BigInteger.One <<< -shift)

    static member Zero = Rational.OfInt 0
    static member One = Rational.OfInt 1
    static member (+)(x, y) = Rational.Create(x.Top * y.Bottom + y.Top * x.Bottom, x.Bottom * y.Bottom)
    static member (-)(x, y) = Rational.Create(x.Top * y.Bottom - y.Top * x.Bottom, x.Bottom * y.Bottom)
    static member (*)(x, y) = Rational.Create(x.Top * y.Top, x.Bottom * y.Bottom)
    static member (/)(x, y) = Rational.Create(x.Top * y.Bottom, x.Bottom * y.Top)
    static member (~-) x = { x with Top = -x.Top }
    static member Abs x = { x with Top = BigInteger.Abs x.Top }
    member x.Sign = x.Top.Sign

    /// The nearest float64, but for the last digit.
    member x.ToFloat() =
        if x.Top.IsZero then
            0.0
        else
            // Scale to 64 significant bits before the division.
            let shift = int (x.Bottom.GetBitLength()) - int (x.Top.GetBitLength()) + 64

            let quotient = if shift >= 0 then (x.Top <<< shift) / x.Bottom else x.Top / (x.Bottom <<< -shift)

            Math.ScaleB(float quotient, -shift)

    /// The fraction times 2^digits, rounded down.
    member x.Scaled(digits: int) : BigInteger = (x.Top <<< digits) / x.Bottom

    override x.ToString() = $"{x.Top}/{x.Bottom}"

    override x.Equals other =
        match other with
        | :? Rational as y -> x.Top = y.Top && x.Bottom = y.Bottom
        | _ -> false

    override x.GetHashCode() = HashCode.Combine(x.Top, x.Bottom)

    interface IComparable with
        member x.CompareTo other =
            match other with
            | :? Rational as y -> compare (x.Top * y.Bottom) (y.Top * x.Bottom)
            | _ -> invalidArg (nameof other) "must be a Rational"
