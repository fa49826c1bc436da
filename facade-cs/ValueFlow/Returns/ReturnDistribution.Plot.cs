using ScottPlot;

namespace ValueFlow;

/// <content>Pictures.</content>
public sealed partial class ReturnDistribution
{
    /// <summary>A picture of the law: bars of probability (the tail's in another colour), the mean, the tail's mean, and on the right axis the probability of an outcome or less.</summary>
    /// <param name="share">The tail's share of outcomes that is marked, in (0, 1]; 0.1 by default.</param>
    /// <param name="tail">Which tail; the lower one by default.</param>
    /// <exception cref="ArgumentException">The share lies elsewhere.</exception>
    public Plot ToPlot(double share = 0.1, Tail tail = Tail.Lower) => ReturnPictures.OfLaw(this, share, tail);

    /// <summary>Saves the picture as .png, .jpg, .webp or .svg; the file appears whole or not at all.</summary>
    /// <param name="path">Where to.</param>
    /// <param name="width">The width in pixels, at least 100; 800 by default.</param>
    /// <param name="height">The height in pixels, at least 100; 500 by default.</param>
    /// <exception cref="ArgumentException">The extension is another one, or a side is too short.</exception>
    public void SavePlot(string path, int width = 800, int height = 500) => ReturnPictures.Save(path, width, height, () => ToPlot());
}
